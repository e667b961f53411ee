// SPDX-License-Identifier: Apache-2.0
#include "core/train/kd_head.hpp"

#include <algorithm>
#include <cstring>

#include <ATen/ATen.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <doctest/doctest.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/train/micro_batch.hpp"
#include "espalier/sdk/error.hpp"
#include "tests/core/train/noise.hpp"
#include "tests/core/train/reference_losses.hpp"

namespace {

using espalier::distillation_head;
using espalier::HeadInput;
using espalier::HeadOutput;
using espalier::HeadWorkspace;
using espalier::WeightedLoss;
namespace reference = espalier::reference;
using reference::distance;
using reference::noise;

constexpr std::int64_t kRows = 23, kVocab = 37, kStudent = 12, kTeacher = 16;

HeadInput example(at::ScalarType dtype, bool masked, std::int64_t chunk) {
  HeadInput in;
  in.student_hidden = noise({kRows, kStudent}, 1, dtype, 1.0);
  in.student_weight = noise({kVocab, kStudent}, 2, dtype, 0.7);
  in.teacher_hidden = noise({kRows, kTeacher}, 3, dtype, 1.0);
  in.teacher_weight = noise({kVocab, kTeacher}, 4, dtype, 0.7);
  in.labels = at::arange(kRows, at::kLong).mul(7).remainder(kVocab);
  if (masked) in.labels.slice(0, 0, kRows, 3).fill_(-100);
  in.kept = espalier::kept_rows(in.labels);
  in.scale = 1.0 / in.labels.ne(-100).sum().item<double>();
  in.chunk = chunk;
  return in;
}

std::vector<WeightedLoss> both(bool closed_form) {
  std::vector<WeightedLoss> losses;
  losses.push_back({"kl", 0.75, std::make_unique<reference::Kl>(2.0, closed_form)});
  losses.push_back({"ce", 0.5, std::make_unique<reference::CrossEntropy>(closed_form)});
  return losses;
}

struct Expected {
  std::vector<double> losses;
  at::Tensor hidden_gradient, weight_gradient;
};

// All logits at once, differentiated by autograd, in float64.
Expected full_logits(const HeadInput& in, const std::vector<WeightedLoss>& losses) {
  at::AutoGradMode on(true);
  const at::Tensor hidden = in.student_hidden.to(at::kDouble).detach().clone().requires_grad_();
  const at::Tensor weight = in.student_weight.to(at::kDouble).detach().clone().requires_grad_();
  const at::Tensor kept = in.labels.ne(-100);
  const at::Tensor student = at::mm(hidden, weight.t()).index({kept});
  const at::Tensor teacher =
      at::mm(in.teacher_hidden.to(at::kDouble), in.teacher_weight.to(at::kDouble).t()).index({kept});
  const at::Tensor labels = in.labels.index({kept});
  at::Tensor total = at::zeros({}, at::kDouble);
  Expected expected;
  for (const WeightedLoss& term : losses) {
    const at::Tensor value = term.loss->forward({student, teacher, labels}).sum() * in.scale;
    expected.losses.push_back(value.item<double>());
    total = total + value * term.weight;
  }
  const auto gradients = torch::autograd::grad({total}, {hidden, weight});
  expected.hidden_gradient = gradients[0];
  expected.weight_gradient = gradients[1];
  return expected;
}

double loss_of(const HeadOutput& output, std::int64_t i) { return output.losses[i].item<double>(); }

bool same_bytes(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.is_contiguous() && b.is_contiguous() &&
         std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

// Bytes that tensors made on this thread hold, and the most they ever held.
class Meter : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, std::int64_t size, std::size_t, std::size_t, c10::Device) override {
    now += size;
    peak = std::max(peak, now);
    largest = std::max(largest, size);
  }
  bool memoryProfilingEnabled() const override { return true; }
  std::int64_t now = 0, peak = 0, largest = 0;
};

}  // namespace

TEST_CASE("the chunked head equals autograd over full logits, in float64, for any chunk and mask") {
  for (const bool closed_form : {true, false}) {
    for (const bool masked : {false, true}) {
      for (const std::int64_t chunk : {std::int64_t{1}, std::int64_t{3}, std::int64_t{7}, kRows, 10 * kRows}) {
        CAPTURE(closed_form);
        CAPTURE(masked);
        CAPTURE(chunk);
        const HeadInput in = example(at::kDouble, masked, chunk);
        const auto losses = both(closed_form);
        const Expected expected = full_logits(in, losses);
        at::Tensor weight_gradient = at::zeros({kVocab, kStudent}, at::kDouble);
        const HeadOutput got = distillation_head(in, losses, weight_gradient);
        REQUIRE(got.losses.numel() == 2);
        CHECK(loss_of(got, 0) == doctest::Approx(expected.losses[0]).epsilon(1e-12));
        CHECK(loss_of(got, 1) == doctest::Approx(expected.losses[1]).epsilon(1e-12));
        CHECK(distance(got.hidden_gradient, expected.hidden_gradient) < 1e-14);
        CHECK(distance(weight_gradient, expected.weight_gradient) < 1e-13);
      }
    }
  }
}

TEST_CASE("float32 stays within a few ulps of float64") {
  for (const bool closed_form : {true, false}) {
    const HeadInput in = example(at::kFloat, true, 7);
    const auto losses = both(closed_form);
    const Expected expected = full_logits(in, losses);
    at::Tensor weight_gradient = at::zeros({kVocab, kStudent});
    const HeadOutput got = distillation_head(in, losses, weight_gradient);
    CHECK(got.hidden_gradient.dtype() == at::kFloat);
    CHECK(loss_of(got, 0) == doctest::Approx(expected.losses[0]).epsilon(2e-6));
    CHECK(loss_of(got, 1) == doctest::Approx(expected.losses[1]).epsilon(2e-6));
    CHECK(distance(got.hidden_gradient, expected.hidden_gradient) < 1e-6);
    CHECK(distance(weight_gradient, expected.weight_gradient) < 1e-6);
  }
}

TEST_CASE("bfloat16 inputs keep float32 losses and a float32 weight gradient") {
  const HeadInput in = example(at::kBFloat16, true, 5);
  const auto losses = both(true);
  const Expected expected = full_logits(in, losses);
  at::Tensor weight_gradient = at::zeros({kVocab, kStudent});
  const HeadOutput got = distillation_head(in, losses, weight_gradient);
  CHECK(got.hidden_gradient.dtype() == at::kBFloat16);
  CHECK(loss_of(got, 0) == doctest::Approx(expected.losses[0]).epsilon(2e-2));
  CHECK(distance(weight_gradient, expected.weight_gradient) <
        2e-2 * expected.weight_gradient.abs().max().item<double>());
}

TEST_CASE("dropped rows get a zero gradient and weigh nothing, whatever they hold") {
  HeadInput in = example(at::kDouble, true, 4);
  at::Tensor weight_gradient = at::zeros({kVocab, kStudent}, at::kDouble);
  const HeadOutput clean = distillation_head(in, both(true), weight_gradient);
  in.student_hidden = in.student_hidden.clone();
  in.student_hidden.slice(0, 0, kRows, 3).fill_(std::numeric_limits<double>::quiet_NaN());
  at::Tensor again = at::zeros({kVocab, kStudent}, at::kDouble);
  const HeadOutput poisoned = distillation_head(in, both(true), again);
  CHECK(same_bytes(weight_gradient, again));
  CHECK(same_bytes(clean.hidden_gradient, poisoned.hidden_gradient));
  CHECK(clean.hidden_gradient.slice(0, 0, kRows, 3).abs().max().item<double>() == 0.0);
  CHECK(clean.hidden_gradient.slice(0, 1, kRows, 3).abs().min().item<double>() > 0.0);
}

TEST_CASE("a batch without any row to learn from gives zeros") {
  HeadInput in = example(at::kFloat, false, 4);
  in.labels.fill_(-100);
  in.kept = espalier::kept_rows(in.labels);
  in.scale = 0.0;
  at::Tensor weight_gradient = at::zeros({kVocab, kStudent});
  const HeadOutput got = distillation_head(in, both(true), weight_gradient);
  CHECK(at::equal(got.losses, at::zeros({2}, at::kDouble)));
  CHECK(got.hidden_gradient.abs().max().item<float>() == 0.0F);
  CHECK(weight_gradient.abs().max().item<float>() == 0.0F);
}

TEST_CASE("the weight's gradient is added to what is there, as tied embeddings need") {
  const HeadInput in = example(at::kDouble, true, 6);
  at::Tensor from_zero = at::zeros({kVocab, kStudent}, at::kDouble);
  distillation_head(in, both(true), from_zero);
  const at::Tensor before = noise({kVocab, kStudent}, 9, at::kDouble, 1.0);
  at::Tensor added = before.clone();
  distillation_head(in, both(true), added);
  CHECK(distance(added - before, from_zero) < 1e-14);
}

TEST_CASE("micro-batches add up to the whole batch") {
  const HeadInput in = example(at::kDouble, true, 50);
  at::Tensor whole = at::zeros({kVocab, kStudent}, at::kDouble), parts = whole.clone();
  const HeadOutput expected = distillation_head(in, both(true), whole);
  double kl = 0.0;
  for (const auto& [begin, count] : {std::pair{0, 10}, std::pair{10, 13}}) {
    HeadInput part = in;
    part.student_hidden = in.student_hidden.narrow(0, begin, count);
    part.teacher_hidden = in.teacher_hidden.narrow(0, begin, count);
    part.labels = in.labels.narrow(0, begin, count);
    part.kept = espalier::kept_rows(part.labels);
    kl += loss_of(distillation_head(part, both(true), parts), 0);
  }
  CHECK(kl == doctest::Approx(loss_of(expected, 0)).epsilon(1e-12));
  CHECK(distance(whole, parts) < 1e-14);
}

TEST_CASE("the teacher is not looked at when no loss needs it") {
  HeadInput in = example(at::kFloat, false, 8);
  in.teacher_hidden = in.teacher_weight = at::Tensor();
  std::vector<WeightedLoss> losses;
  losses.push_back({"ce", 1.0, std::make_unique<reference::CrossEntropy>()});
  at::Tensor weight_gradient = at::zeros({kVocab, kStudent});
  CHECK(loss_of(distillation_head(in, losses, weight_gradient), 0) > 0.0);
}

TEST_CASE("two runs give the same bytes, with a workspace or without") {
  const HeadInput in = example(at::kFloat, true, 5);
  HeadWorkspace workspace;
  at::Tensor first = at::zeros({kVocab, kStudent}), second = first.clone(), third = first.clone();
  const HeadOutput a = distillation_head(in, both(true), first);
  const HeadOutput b = distillation_head(in, both(true), second, &workspace);
  const HeadOutput c = distillation_head(in, both(true), third, &workspace);
  CHECK(at::equal(a.losses, b.losses));
  CHECK(at::equal(a.losses, c.losses));
  CHECK(same_bytes(a.hidden_gradient, b.hidden_gradient));
  CHECK(same_bytes(a.hidden_gradient, c.hidden_gradient));
  CHECK(same_bytes(first, second));
  CHECK(same_bytes(first, third));
}

TEST_CASE("different vocabularies of teacher and student are refused") {
  HeadInput in = example(at::kFloat, false, 8);
  in.teacher_weight = noise({kVocab + 1, kTeacher}, 4, at::kFloat, 1.0);
  at::Tensor weight_gradient = at::zeros({kVocab, kStudent});
  CHECK_THROWS_WITH_AS(
      distillation_head(in, both(true), weight_gradient),
      "distillation: teacher and student have different vocabularies; got 38 tokens in the teacher and "
      "37 in the student; expected the same tokenizer for both",
      espalier::Error);
}

TEST_CASE("a loss whose value has a wrong shape is refused by name") {
  struct Wrong : reference::CrossEntropy {
    Wrong() : CrossEntropy(false) {}
    at::Tensor forward(const espalier::LogitRows& rows) const override { return CrossEntropy::forward(rows).sum(); }
  };
  const HeadInput in = example(at::kFloat, false, 8);
  std::vector<WeightedLoss> losses;
  losses.push_back({"mine", 1.0, std::make_unique<Wrong>()});
  at::Tensor weight_gradient = at::zeros({kVocab, kStudent});
  CHECK_THROWS_WITH_AS(distillation_head(in, losses, weight_gradient),
                       "loss 'mine': its value has a wrong shape; got (); expected (8), one number for each row",
                       espalier::Error);
}

TEST_CASE("memory does not grow with rows, but for the gradient of the hidden states") {
  constexpr std::int64_t kWide = 3000, kChunk = 16;
  const auto peak = [](std::int64_t rows) {
    HeadInput in;
    in.student_hidden = noise({rows, kStudent}, 1, at::kFloat, 1.0);
    in.student_weight = noise({kWide, kStudent}, 2, at::kFloat, 1.0);
    in.teacher_hidden = noise({rows, kTeacher}, 3, at::kFloat, 1.0);
    in.teacher_weight = noise({kWide, kTeacher}, 4, at::kFloat, 1.0);
    in.labels = at::zeros({rows}, at::kLong);
    in.chunk = kChunk;
    at::Tensor weight_gradient = at::zeros({kWide, kStudent});
    const auto losses = both(true);
    auto meter = std::make_shared<Meter>();
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
    distillation_head(in, losses, weight_gradient);
    return std::pair{meter->peak, meter->largest};
  };
  const auto [few, few_largest] = peak(kChunk);
  const auto [many, many_largest] = peak(20 * kChunk);
  CHECK(few_largest == kChunk * kWide * 4);
  CHECK(many_largest == few_largest);
  const std::int64_t hidden_gradient = 20 * kChunk * kStudent * 4;
  CHECK(many <= few + hidden_gradient + 4096);
}
