// SPDX-License-Identifier: Apache-2.0
#include "core/train/optimizer.hpp"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include "tests/core/train/noise.hpp"

namespace {

using espalier::AdamW;
using espalier::AdamWOptions;
using espalier::reference::distance;
using espalier::reference::noise;

// The update as the paper writes it, in float64.
struct Textbook {
  at::Tensor weight, first, second;
  explicit Textbook(const at::Tensor& start)
      : weight(start.to(at::kDouble)), first(at::zeros_like(weight)), second(at::zeros_like(weight)) {}
  void step(const at::Tensor& gradient, int t, double lr, double decay, const AdamWOptions& o) {
    const at::Tensor g = gradient.to(at::kDouble);
    weight = weight * (1.0 - lr * decay);
    first = o.beta1 * first + (1.0 - o.beta1) * g;
    second = o.beta2 * second + (1.0 - o.beta2) * g * g;
    const at::Tensor m = first / (1.0 - std::pow(o.beta1, t));
    const at::Tensor v = second / (1.0 - std::pow(o.beta2, t));
    weight = weight - lr * m / (v.sqrt() + o.eps);
  }
};

}  // namespace

TEST_CASE("AdamW follows the textbook; matrices decay, norms and biases do not") {
  const AdamWOptions options{.beta1 = 0.8, .beta2 = 0.9, .eps = 1e-6, .weight_decay = 0.3};
  at::Tensor matrix = noise({5, 7}, 1).requires_grad_(), norm = noise({5}, 2).requires_grad_();
  Textbook expected_matrix(matrix.detach()), expected_norm(norm.detach());
  AdamW optimizer({matrix, norm}, options);
  for (int t = 1; t <= 4; ++t) {
    optimizer.zero_gradients();
    const at::Tensor input = noise({7}, 10 + static_cast<std::uint64_t>(t));
    (at::mv(matrix, input) * norm).pow(2).sum().backward();
    const double lr = 0.1 / t;
    expected_matrix.step(optimizer.gradient(0), t, lr, options.weight_decay, options);
    expected_norm.step(optimizer.gradient(1), t, lr, 0.0, options);
    optimizer.step(lr);
    CHECK(distance(matrix.detach(), expected_matrix.weight) < 2e-6);
    CHECK(distance(norm.detach(), expected_norm.weight) < 2e-6);
  }
  CHECK(optimizer.steps() == 4);
  CHECK(distance(optimizer.first_moments()[0], expected_matrix.first) < 1e-4);
}

TEST_CASE("gradients of several passes add up in the flat buffer and zeroing empties all of it") {
  at::Tensor a = noise({3, 5}, 1).requires_grad_(), b = noise({17}, 2).requires_grad_();
  AdamW optimizer({a, b}, {});
  (a.sum() + 2.0 * b.sum()).backward();
  (a.sum() + 2.0 * b.sum()).backward();
  CHECK(distance(optimizer.gradient(0), at::full({3, 5}, 2.0)) == 0.0);
  CHECK(distance(optimizer.gradient(1), at::full({17}, 4.0)) == 0.0);
  CHECK(optimizer.gradient_squares().item<double>() == doctest::Approx(15 * 4.0 + 17 * 16.0));
  CHECK(a.grad().data_ptr() == optimizer.gradient(0).data_ptr());
  optimizer.zero_gradients();
  CHECK(optimizer.gradient_squares().item<double>() == 0.0);
}

TEST_CASE("a gradient factor is the same as scaled gradients") {
  at::Tensor clipped = noise({4, 4}, 1).requires_grad_(), scaled = noise({4, 4}, 1).requires_grad_();
  AdamW with_factor({clipped}, {}), with_scaled({scaled}, {});
  for (int t = 0; t < 3; ++t) {
    const at::Tensor gradient = noise({4, 4}, 5 + static_cast<std::uint64_t>(t));
    with_factor.gradient(0).copy_(gradient);
    with_scaled.gradient(0).copy_(gradient * 0.25);
    with_factor.step(0.1, 0.25);
    with_scaled.step(0.1);
  }
  CHECK(distance(clipped.detach(), scaled.detach()) < 1e-6);
}

TEST_CASE("bfloat16 parameters are trained in float32") {
  at::Tensor narrow = noise({8, 8}, 1).to(at::kBFloat16).requires_grad_();
  const at::Tensor start = narrow.detach().clone();
  AdamW optimizer({narrow}, {.weight_decay = 0.0});
  for (int t = 0; t < 100; ++t) {
    optimizer.zero_gradients();
    narrow.sum().backward();
    narrow.sum().backward();
    CHECK(!narrow.grad().defined());  // moved on as soon as it is there
    CHECK(optimizer.gradient(0).min().item<float>() == 2.0F);
    optimizer.step(1e-5);  // far below the spacing of bfloat16 around 1
  }
  CHECK(distance(optimizer.weight(0), start.to(at::kFloat) - 1e-3) < 1e-5);
  CHECK(distance(narrow.detach(), optimizer.weight(0).to(at::kBFloat16)) == 0.0);
  CHECK(distance(narrow.detach(), start) > 0.0);
}

TEST_CASE("gradients in bfloat16 are sums rounded after each pass, but where float32 is asked for") {
  at::Tensor narrow = noise({8, 8}, 1).to(at::kBFloat16).requires_grad_(),
             head = noise({8, 8}, 2).to(at::kBFloat16).requires_grad_(), wide = noise({5}, 3).requires_grad_();
  AdamW optimizer({narrow, head, wide}, {.gradients = at::kBFloat16, .float_gradients = {1}});
  const at::Tensor first = noise({8, 8}, 4).to(at::kBFloat16), second = noise({8, 8}, 5).to(at::kBFloat16);
  for (const at::Tensor& pass : {first, second})
    ((narrow * pass).sum().to(at::kFloat) + (head * pass).sum().to(at::kFloat) + wide.sum()).backward();
  const at::Tensor sum = first.to(at::kFloat) + second.to(at::kFloat);
  CHECK(at::equal(optimizer.gradient(0), sum.to(at::kBFloat16)));
  CHECK(at::equal(optimizer.gradient(1), sum));
  CHECK(at::equal(optimizer.gradient(2), at::full({5}, 2.0F)));
  const double squares = sum.to(at::kBFloat16).to(at::kDouble).square().sum().item<double>() +
                         sum.to(at::kDouble).square().sum().item<double>() + 20.0;
  CHECK(optimizer.gradient_squares().item<double>() == doctest::Approx(squares).epsilon(1e-6));
  Textbook expected(narrow.detach().to(at::kFloat));
  expected.step(optimizer.gradient(0), 1, 1e-2, 0.1, AdamWOptions{});
  optimizer.step(1e-2);
  CHECK(distance(optimizer.weight(0), expected.weight) < 2e-6);
  optimizer.zero_gradients();
  CHECK(optimizer.gradient_squares().item<double>() == 0.0);
}

TEST_CASE("bfloat16 parameters begin with all that is known of them") {
  const at::Tensor exact = noise({8, 8}, 1), other = noise({3}, 2);
  at::Tensor known = exact.to(at::kBFloat16).requires_grad_(), unknown = other.to(at::kBFloat16).requires_grad_(),
             wide = noise({4}, 3).requires_grad_();
  AdamW optimizer({known, unknown, wide}, {});
  optimizer.begin_with([&](std::size_t i) { return i == 1 ? at::Tensor() : exact; });
  CHECK(distance(optimizer.weight(0), exact) == 0.0);
  CHECK(distance(optimizer.weight(1), unknown.detach()) == 0.0);
  CHECK(distance(wide.detach(), noise({4}, 3)) == 0.0);
  CHECK(distance(known.detach(), exact) <= 0.004 * exact.abs().max().item<double>());
  CHECK(optimizer.steps() == 0);
}

TEST_CASE("moments in bfloat16 follow the textbook as far as eight bits go") {
  const AdamWOptions options{.eps = 1e-6, .moments = at::kBFloat16};
  at::Tensor matrix = noise({5, 7}, 1).requires_grad_();
  Textbook expected(matrix.detach());
  AdamW optimizer({matrix}, options);
  for (int t = 1; t <= 30; ++t) {
    const at::Tensor gradient = noise({5, 7}, 40 + static_cast<std::uint64_t>(t));
    optimizer.gradient(0).copy_(gradient);
    expected.step(gradient, t, 1e-2, options.weight_decay, options);
    optimizer.step(1e-2);
  }
  CHECK((optimizer.first_moments()[0].scalar_type() == at::kBFloat16));
  // Each moment is off by 2^-9 of itself a step, and forgets it: a few thousandths of the way that was gone.
  const double way = distance(matrix.detach(), noise({5, 7}, 1));
  CHECK(distance(matrix.detach(), expected.weight) < 0.02 * way);
  CHECK(way > 0.05);
}

TEST_CASE("state written from outside goes on as if it had never stopped") {
  at::Tensor a = noise({6, 6}, 1).requires_grad_(), b = noise({6, 6}, 9).requires_grad_();
  AdamW original({a}, {}), restarted({b}, {});
  const auto run = [](AdamW& optimizer, int from, int to) {
    for (int t = from; t < to; ++t) {
      optimizer.gradient(0).copy_(noise({6, 6}, 20 + static_cast<std::uint64_t>(t)));
      optimizer.step(0.01);
    }
  };
  run(original, 0, 3);
  at::NoGradGuard no_grad;
  restarted.set_weight(0, original.weight(0));
  restarted.first_moments()[0].copy_(original.first_moments()[0]);
  restarted.second_moments()[0].copy_(original.second_moments()[0]);
  restarted.restored(original.steps());
  run(original, 3, 6);
  run(restarted, 3, 6);
  CHECK(at::equal(a.detach(), b.detach()));
}
