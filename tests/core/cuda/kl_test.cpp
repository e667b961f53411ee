// SPDX-License-Identifier: Apache-2.0
// The distillation head's row pass against log_softmax in float64.
#include <cmath>
#include <limits>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/ops/kl_rows.hpp"
#include "test_device.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Results {
  at::Tensor kl, ce, gradient;
};

struct Setting {
  double temperature = 1, kl_scale = 1, ce_scale = 0;
  bool ce = false, accumulate = false;
  at::ScalarType gradient = at::kFloat;
};

at::Tensor start_of(const Setting& setting, const at::Tensor& student) {
  return setting.accumulate ? at::arange(student.numel()).remainder(7).view(student.sizes()).div(8)
                            : at::full_like(student, 77, at::kFloat);
}

Results by_kernel(const Setting& setting, const at::Tensor& student, const at::Tensor& teacher,
                  const at::Tensor& labels) {
  const KernelsOn kernels;
  const auto rows = [&] { return kernels(at::full({student.size(0)}, 77.0F)); };
  KlRows call{.temperature = setting.temperature,
              .kl_scale = setting.kl_scale,
              .ce_scale = setting.ce_scale,
              .student = kernels(student),
              .teacher = kernels(teacher),
              .labels = {},
              .kl = rows(),
              .ce = {},
              .gradient = kernels(start_of(setting, student).to(setting.gradient)),
              .accumulate = setting.accumulate};
  if (setting.ce) call.labels = kernels(labels), call.ce = rows();
  kl_rows(call);
  return {call.kl.cpu(), setting.ce ? call.ce.cpu() : at::Tensor(), call.gradient.cpu()};
}

Results exact_rows(const Setting& setting, const at::Tensor& student, const at::Tensor& teacher,
                   const at::Tensor& labels) {
  const at::Tensor z = student.to(at::kDouble);
  const at::Tensor log_p = at::log_softmax(teacher.to(at::kDouble) / setting.temperature, -1);
  const at::Tensor log_q = at::log_softmax(z / setting.temperature, -1);
  // 0·(−inf − x) is 0: where the teacher gives nothing, nothing is lost.
  const at::Tensor terms = at::where(log_p.exp() > 0, log_p.exp() * (log_p - log_q), at::zeros({}, at::kDouble));
  Results results{terms.sum(-1), {}, (log_q.exp() - log_p.exp()) * (setting.kl_scale / setting.temperature)};
  if (setting.ce) {
    const at::Tensor log_s = at::log_softmax(z, -1), one_hot = at::one_hot(labels, z.size(1));
    results.ce = log_s.gather(1, labels.unsqueeze(1)).squeeze(1).neg();
    results.gradient = results.gradient + (log_s.exp() - one_hot) * setting.ce_scale;
  }
  if (setting.accumulate) results.gradient = results.gradient + start_of(setting, student);
  return results;
}

void compare_rows(const Setting& setting, const at::Tensor& student, const at::Tensor& teacher,
                  double loss_tolerance = 2e-6) {
  const at::Tensor labels = at::randint(student.size(1), {student.size(0)}, at::kLong);
  const Results got = by_kernel(setting, student, teacher, labels),
                exact = exact_rows(setting, student, teacher, labels);
  CAPTURE(student.sizes());
  CAPTURE(setting.temperature);
  // An absolute error in nats: float32's rounding of logarithms and sums near 10.
  CHECK((got.kl.to(at::kDouble) - exact.kl).abs().max().item<double>() < loss_tolerance);
  if (setting.ce) CHECK((got.ce.to(at::kDouble) - exact.ce).abs().max().item<double>() < 4e-6);
  CHECK(beyond_rounding(got.gradient, exact.gradient) < 2e-6);
}

}  // namespace

TEST_CASE("losses and gradients of the row pass are the formula's, for any width and temperature") {
  at::manual_seed(1);
  for (const std::int64_t width : {2, 7, 257, 1024, 5003}) {
    const at::Tensor student = at::randn({3, width}) * 3, teacher = at::randn({3, width}) * 3;
    for (const double temperature : {0.5, 1.0, 2.0}) compare_rows({.temperature = temperature}, student, teacher, 1e-5);
    compare_rows({.temperature = 2, .kl_scale = 0.75, .ce_scale = 0.25, .ce = true}, student, teacher, 1e-5);
  }
}

TEST_CASE("the gradient is added to what is there when asked, and rounded once to its own dtype") {
  at::manual_seed(2);
  const at::Tensor student = at::randn({4, 96}), teacher = at::randn({4, 96});
  for (const at::ScalarType gradient : kNarrowAndWide) {
    compare_rows({.accumulate = true, .gradient = gradient}, student, teacher);
    compare_rows({.ce_scale = 2, .ce = true, .gradient = gradient}, student, teacher);
  }
}

TEST_CASE("the gradient may take the place of the student's logits") {
  at::manual_seed(3);
  const KernelsOn kernels;
  for (const std::int64_t width : {33, 2048}) {
    const at::Tensor student = at::randn({3, width}), teacher = at::randn({3, width});
    const at::Tensor labels = at::randint(width, {3}, at::kLong);
    const Setting setting{.ce_scale = 0.5, .ce = true};
    const Results exact = exact_rows(setting, student, teacher, labels);
    const at::Tensor place = kernels(student).clone();
    kl_rows({.temperature = 1,
             .kl_scale = 1,
             .ce_scale = 0.5,
             .student = place,
             .teacher = kernels(teacher),
             .labels = kernels(labels),
             .kl = kernels(at::zeros({3})),
             .ce = kernels(at::zeros({3})),
             .gradient = place});
    CHECK(beyond_rounding(place, exact.gradient) < 2e-6);
  }
}

TEST_CASE("rows that begin anywhere") {
  at::manual_seed(4);
  compare_rows({.ce = true}, unaligned_randn({3, 64}, at::kFloat), unaligned_randn({3, 64}, at::kFloat));
}

TEST_CASE("where student and teacher almost agree the divergence is not rounding noise") {
  at::manual_seed(5);
  const at::Tensor student = at::randn({4, 4096}) * 4, teacher = student + at::randn({4, 4096}) * 1e-2;
  const Results got = by_kernel({}, student, teacher, {}), exact = exact_rows({}, student, teacher, {});
  CHECK(exact.kl.max().item<double>() < 1e-4);
  // Two float32 logarithms of sums of 4096 terms part by some 1e-7.
  CHECK((got.kl.to(at::kDouble) - exact.kl).abs().max().item<double>() < 3e-7);
}

TEST_CASE("offsets of the logits do not matter, however large") {
  at::manual_seed(6);
  // Steps of 2^-6 stay exact in float32 beside 1e5.
  const at::Tensor student = at::randn({3, 500}).mul(64).round().div(64),
                   teacher = at::randn({3, 500}).mul(64).round().div(64);
  const Results plain = exact_rows({}, student, teacher, {});
  const Results moved = by_kernel({}, student + 100000, teacher - 50000, {});
  CHECK((moved.kl.to(at::kDouble) - plain.kl).abs().max().item<double>() < 2e-6);
  CHECK(beyond_rounding(moved.gradient, plain.gradient) < 2e-6);
}

TEST_CASE("a maximum that comes late, first or in between gives the same sums") {
  at::manual_seed(7);
  for (const std::int64_t place : {0, 1, 700, 4095}) {
    at::Tensor student = at::randn({2, 4096}), teacher = at::randn({2, 4096});
    student.select(1, place).fill_(20), teacher.select(1, 4095 - place).fill_(15);
    compare_rows({.ce_scale = 1, .ce = true}, student, teacher, 5e-6);
    compare_rows({}, teacher, student, 5e-6);
  }
}

TEST_CASE("columns that both mask with -inf count nothing, wherever they stand") {
  at::manual_seed(8);
  for (const std::int64_t width : {5, 40, 1027}) {
    const at::Tensor student = at::randn({2, width}), teacher = at::randn({2, width});
    const at::Tensor masked = at::arange(width).remainder(3).ne(1);
    const at::Tensor a = teacher.masked_fill(masked, -kInfinity), b = student.masked_fill(masked, -kInfinity);
    compare_rows({}, b, a, 5e-6);
    CHECK(by_kernel({}, b, a, {}).gradient.masked_select(masked).abs().max().item<float>() == 0);
  }
}

TEST_CASE("what the teacher alone masks costs nothing there, what the student alone masks enormously, never NaN") {
  const at::Tensor some = at::tensor({1.0F, 2.0F, 0.5F, -1.0F}).unsqueeze(0);
  const at::Tensor masked = at::tensor({1.0F, -kInfinity, 0.5F, -1.0F}).unsqueeze(0);
  compare_rows({}, some, masked, 1e-6);
  const Results got = by_kernel({}, masked, some, {});
  const double p = at::softmax(some.to(at::kDouble), -1)[0][1].item<double>();
  CHECK(got.kl.item<double>() == doctest::Approx(p * 1e30));
  CHECK(got.gradient.isfinite().all().item<bool>());
  CHECK(got.gradient[0][1].item<double>() == doctest::Approx(-p));
}

TEST_CASE("probabilities that vanish, logits at the end of the range, and rows of one column") {
  const at::Tensor far = at::tensor({0.0F, -200.0F, 3e38F, -3e38F}).unsqueeze(0);
  const Results same = by_kernel({}, far, far, {});
  CHECK(same.kl.item<float>() == 0);
  CHECK(same.gradient.abs().max().item<float>() == 0);
  compare_rows({.temperature = 0.25}, at::tensor({0.0F, -300.0F, 90.0F}).unsqueeze(0),
               at::tensor({80.0F, -300.0F, 0.0F}).unsqueeze(0), 1e-4);
  const Results one = by_kernel({.ce_scale = 1, .ce = true}, at::full({2, 1}, 5.0F), at::full({2, 1}, -9.0F),
                                at::zeros({2}, at::kLong));
  CHECK(one.kl.abs().max().item<float>() == 0);
  CHECK(one.ce.abs().max().item<float>() == 0);
  CHECK(one.gradient.abs().max().item<float>() == 0);
}

TEST_CASE("a row of nothing but -inf, or with a NaN, says NaN") {
  const at::Tensor fine = at::randn({1, 6}), empty = at::full({1, 6}, -kInfinity);
  at::Tensor broken = fine.clone();
  broken[0][3] = std::nanf("");
  CHECK(by_kernel({}, fine, empty, {}).kl.isnan().all().item<bool>());
  CHECK(by_kernel({}, fine, broken, {}).kl.isnan().all().item<bool>());
  CHECK(by_kernel({}, broken, fine, {}).kl.isnan().all().item<bool>());
}

TEST_CASE("the cross entropy's gradient keeps its digits where the student is almost sure") {
  at::Tensor student = at::zeros({1, 8});
  student[0][2] = 20.0F;
  const at::Tensor labels = at::full({1}, 2, at::kLong);
  const Setting setting{.kl_scale = 0, .ce_scale = 1, .ce = true};
  const double got = by_kernel(setting, student, student, labels).gradient[0][2].item<double>();
  CHECK(got ==
        doctest::Approx(exact_rows(setting, student, student, labels).gradient[0][2].item<double>()).epsilon(1e-5));
}

TEST_CASE("without kernels the pass is computed by tensor operations, to the same formula") {
  at::manual_seed(9);
  const at::Tensor student = at::randn({3, 50}), teacher = at::randn({3, 50}), labels = at::randint(50, {3}, at::kLong);
  const Setting setting{.temperature = 2, .kl_scale = 0.5, .ce_scale = 0.25, .ce = true};
  const Results exact = exact_rows(setting, student, teacher, labels);
  KlRows call{.temperature = 2,
              .kl_scale = 0.5,
              .ce_scale = 0.25,
              .student = student,
              .teacher = teacher,
              .labels = labels,
              .kl = at::empty({3}),
              .ce = at::empty({3}),
              .gradient = at::ones({3, 50}),
              .accumulate = true};
  kl_rows(call);
  CHECK(beyond_rounding(call.kl, exact.kl) < 1e-6);
  CHECK(beyond_rounding(call.ce, exact.ce) < 1e-6);
  CHECK(beyond_rounding(call.gradient, exact.gradient + 1) < 1e-6);
}
