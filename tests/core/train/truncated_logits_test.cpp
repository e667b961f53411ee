// SPDX-License-Identifier: Apache-2.0
#include "core/train/truncated_logits.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/train/kd_head.hpp"
#include "core/train/micro_batch.hpp"
#include "tests/core/train/noise.hpp"
#include "tests/core/train/reference_losses.hpp"

namespace {

using espalier::TruncatedLogits;
namespace reference = espalier::reference;
using reference::noise;

at::Tensor expanded(const TruncatedLogits& kept, std::int64_t vocab) {
  at::Tensor rows = at::empty({kept.values.size(0), vocab});
  espalier::expand(kept, rows);
  return rows;
}

// One row the slow way, in double: the k largest stay, the others share their mass.
std::vector<double> slow_row(const at::Tensor& row, std::int64_t k) {
  const auto vocab = static_cast<std::size_t>(row.size(0));
  std::vector<double> logits;
  for (std::size_t v = 0; v < vocab; ++v) logits.push_back(row[static_cast<std::int64_t>(v)].item<double>());
  std::vector<std::size_t> order(vocab);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
  double rest = 0.0;
  for (std::size_t i = static_cast<std::size_t>(k); i < vocab; ++i) rest += std::exp(logits[order[i]]);
  const double each = std::log(rest / static_cast<double>(row.size(0) - k));
  for (std::size_t i = static_cast<std::size_t>(k); i < vocab; ++i) logits[order[i]] = each;
  return logits;
}

}  // namespace

TEST_CASE("a row worked by hand: two of four tokens are kept, the others share a quarter of the mass") {
  const at::Tensor p = at::tensor({0.2, 0.5, 0.05, 0.25}, at::kDouble);
  const at::Tensor logits = (p.log() + 3.0).to(at::kFloat).unsqueeze(0);
  const TruncatedLogits kept = espalier::truncate(logits, 2, at::kFloat);
  CHECK((kept.indices.scalar_type() == at::kShort));
  CHECK(kept.indices[0][0].item<int>() == 1);
  CHECK(kept.indices[0][1].item<int>() == 3);
  CHECK(kept.values[0][0].item<double>() == doctest::Approx(std::log(0.5)));
  CHECK(kept.values[0][1].item<double>() == doctest::Approx(std::log(0.25)));
  CHECK(kept.tail.item<double>() == doctest::Approx(std::log(0.125)));
  CHECK(kept.normalizer.item<double>() == doctest::Approx(3.0));
  const at::Tensor row = expanded(kept, 4)[0];
  const std::vector<double> shown = {0.125, 0.5, 0.125, 0.25};
  for (std::size_t v = 0; v < 4; ++v) {
    CHECK(row[static_cast<std::int64_t>(v)].item<double>() == doctest::Approx(std::log(shown[v]) + 3.0).epsilon(1e-6));
  }
  const espalier::RowLoss lost = espalier::lost(logits, kept);
  CHECK(lost.tail_mass.item<double>() == doctest::Approx(0.25));
  // 0.2 ln(0.2 / 0.125) + 0.05 ln(0.05 / 0.125) = 0.0940007 - 0.0458145
  CHECK(lost.kl.item<double>() == doctest::Approx(0.0481862).epsilon(1e-5));
}

TEST_CASE("rows made again from the largest logits equal a slow formula, for any k") {
  constexpr std::int64_t kRows = 5, kVocab = 37;
  const at::Tensor logits = noise({kRows, kVocab}, 3, at::kFloat, 4.0);
  for (const std::int64_t k : {1, 2, 19, 36}) {
    CAPTURE(k);
    const at::Tensor rows = expanded(espalier::truncate(logits, k, at::kFloat), kVocab);
    for (std::int64_t r = 0; r < kRows; ++r) {
      const std::vector<double> slow = slow_row(logits[r], k);
      for (std::int64_t v = 0; v < kVocab; ++v) {
        // A few roundings of float32 at logits of up to 15.
        CHECK(std::abs(rows[r][v].item<double>() - slow[static_cast<std::size_t>(v)]) < 1e-5);
      }
    }
  }
}

TEST_CASE("the kept tokens one by one and the rest as one class have the teacher's own probabilities") {
  constexpr std::int64_t kKept = 6, kVocab = 50;
  const at::Tensor logits = noise({7, kVocab}, 4, at::kFloat, 3.0);
  const at::Tensor rows = expanded(espalier::truncate(logits, kKept, at::kFloat), kVocab);
  const auto classes = [&](const at::Tensor& z) {
    const at::Tensor p = at::softmax(z.to(at::kDouble), 1);
    const at::Tensor largest = p.gather(1, std::get<1>(logits.topk(kKept, 1)));
    return at::cat({largest, 1.0 - largest.sum(1, true)}, 1);
  };
  CHECK((classes(rows) - classes(logits)).abs().max().item<double>() < 1e-6);
}

TEST_CASE("less is lost with a larger k, a narrower dtype loses little more, and indices fit the vocabulary") {
  const at::Tensor logits = noise({64, 300}, 5, at::kFloat, 3.0);
  double before = 1e9;
  for (const std::int64_t k : {1, 4, 16, 64, 299}) {
    const double kl = espalier::lost(logits, espalier::truncate(logits, k, at::kFloat)).kl.mean().item<double>();
    CHECK(kl < before);
    before = kl;
  }
  CHECK(before < 1e-12);  // one token is its own mean
  const double exact = espalier::lost(logits, espalier::truncate(logits, 16, at::kFloat)).kl.mean().item<double>();
  for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16}) {
    const TruncatedLogits kept = espalier::truncate(logits, 16, dtype);
    CHECK((kept.values.scalar_type() == dtype));
    CHECK(espalier::lost(logits, kept).kl.mean().item<double>() == doctest::Approx(exact).epsilon(1e-2));
  }
  CHECK((espalier::index_type(32768) == at::kShort));
  CHECK((espalier::index_type(32769) == at::kInt));
}

TEST_CASE("the head on what was kept equals the head on the rows made again, for any chunk and mask") {
  constexpr std::int64_t kRows = 23, kVocab = 37, kHidden = 12;
  std::vector<espalier::WeightedLoss> losses;
  losses.push_back({"kl", 0.75, std::make_unique<reference::Kl>(2.0)});
  losses.push_back({"ce", 0.5, std::make_unique<reference::CrossEntropy>()});
  const TruncatedLogits kept = espalier::truncate(noise({kRows, kVocab}, 6, at::kFloat, 3.0), 5, at::kBFloat16);
  espalier::HeadInput in;
  in.student_hidden = noise({kRows, kHidden}, 1, at::kFloat, 1.0);
  in.student_weight = noise({kVocab, kHidden}, 2, at::kFloat, 0.7);
  in.labels = at::arange(kRows, at::kLong).mul(7).remainder(kVocab);
  in.labels.slice(0, 0, kRows, 3).fill_(-100);
  in.kept = espalier::kept_rows(in.labels);
  in.scale = 0.1;
  espalier::HeadInput whole = in;
  whole.teacher_hidden = expanded(kept, kVocab);  // times the identity: themselves
  whole.teacher_weight = at::eye(kVocab);
  in.teacher_kept = kept;
  for (const std::int64_t chunk : {1, 7, 100}) {
    CAPTURE(chunk);
    in.chunk = whole.chunk = chunk;
    at::Tensor gradient = at::zeros({kVocab, kHidden}), expected_gradient = at::zeros({kVocab, kHidden});
    const espalier::HeadOutput got = espalier::distillation_head(in, losses, gradient);
    const espalier::HeadOutput expected = espalier::distillation_head(whole, losses, expected_gradient);
    CHECK(at::equal(got.losses, expected.losses));
    CHECK(at::equal(got.hidden_gradient, expected.hidden_gradient));
    CHECK(at::equal(gradient, expected_gradient));
  }
}
