// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/ops/_fused_adamw.h>
#include <doctest/doctest.h>

#include "core/ops/adamw.hpp"
#include "core/ops/arithmetic/adamw.hpp"
#include "test_device.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return at::equal(a.contiguous().view(at::kInt), b.contiguous().view(at::kInt));
}

// Gradients whose size differs from element to element by many orders.
at::Tensor gradient_of(std::int64_t step, std::int64_t size) {
  at::manual_seed(step);
  return at::randn({size}) * at::pow(10.0, at::arange(size).remainder(9).to(at::kFloat) - 6);
}

AdamWUpdate settings(std::int64_t step) {
  AdamWUpdate update;
  update.learning_rate = 3e-4, update.weight_decay = 0.1, update.step = step;
  return update;
}

}  // namespace

TEST_CASE("every float32 is its bfloat16 and 16 bits, exactly, and the bfloat16 is the nearest") {
  using namespace espalier::arithmetic;
  for (std::uint32_t high = 0; high < 0x10000; high += 101) {
    for (std::uint32_t low = 0; low < 0x10000; low += 37) {
      const float x = float_of(high << 16 | low);
      const SplitFloat halves = split(x);
      const float back = joined(halves.high, halves.rest);
      if (std::isnan(x)) {
        REQUIRE(std::isnan(back));
        REQUIRE(std::isnan(wide(halves.high)));
        continue;
      }
      REQUIRE(bits_of(back) == bits_of(x));
      if (low != 0x8000) REQUIRE(halves.high.bits == narrow<Bf16>(x).bits);
    }
  }
}

TEST_CASE("split and joined tensors are the same numbers") {
  at::manual_seed(1);
  const at::Tensor master = at::randn({3, 1000});
  at::Tensor weight, rest;
  split_master(master, weight, rest);
  CHECK(same_bits(joined_master(weight, rest), master));
  CHECK(at::equal(weight, master.to(at::kBFloat16)));
}

TEST_CASE("bfloat16 weights with a remainder train as float32 masters do, to the last bit, over many steps") {
  constexpr std::int64_t kSize = 1003;
  for (const at::ScalarType moments : {at::kFloat, at::kBFloat16}) {
    const KernelsOn kernels;
    at::manual_seed(2);
    const at::Tensor start = at::randn({kSize}) * 0.05;
    const auto zeros = [&] { return kernels(at::zeros({kSize}, moments)); };
    const at::Tensor master = kernels(start).clone();
    at::Tensor weight, rest;
    split_master(kernels(start), weight, rest);
    const at::Tensor m1 = zeros(), v1 = zeros(), m2 = zeros(), v2 = zeros();
    std::int64_t ties = 0;
    for (std::int64_t step = 1; step <= 300; ++step) {
      AdamWUpdate whole = settings(step);
      whole.gradient = kernels(gradient_of(step, kSize));
      whole.factor = step % 3 == 0 ? 0.37 : 1.0;
      AdamWUpdate split = whole;
      whole.master = master, whole.first = m1, whole.second = v1;
      split.weight = weight, split.rest = rest, split.first = m2, split.second = v2;
      adamw_update(whole);
      adamw_update(split);
      REQUIRE(same_bits(joined_master(weight, rest), master));
      ties += weight.ne(master.to(at::kBFloat16)).sum().item<std::int64_t>();
    }
    CHECK(at::equal(m1, m2));
    CHECK(at::equal(v1, v2));
    CHECK(ties < 60);  // exact ties, one in 65536, which the split form rounds away from zero
    CHECK((master - kernels(start)).abs().max().item<float>() > 1e-3);
  }
}

TEST_CASE("one update is that of LibTorch's fused AdamW, and of the formula in float64") {
  const KernelsOn kernels;
  const std::int64_t size = 4000;
  at::manual_seed(3);
  const at::Tensor start = at::randn({size}), m = at::randn({size}) * 0.01, v = at::rand({size}) * 0.001;
  const at::Tensor g = gradient_of(4, size);
  for (const std::int64_t step : {1, 2, 1000}) {
    AdamWUpdate update = settings(step);
    update.master = kernels(start).clone(), update.first = kernels(m).clone(), update.second = kernels(v).clone();
    update.gradient = kernels(g);
    adamw_update(update);
    std::vector<at::Tensor> weights{start.clone()}, firsts{m.clone()}, seconds{v.clone()};
    const at::Tensor count = at::scalar_tensor(static_cast<float>(step));
    at::_fused_adamw_(weights, {g}, firsts, seconds, {}, {count}, 3e-4, 0.9, 0.95, 0.1, 1e-8, false, false);
    CHECK(at::allclose(update.master.cpu(), weights[0], 3e-7, 3e-7));
    const at::Tensor w = start.to(at::kDouble) * (1 - 3e-4 * 0.1);
    const at::Tensor first = m.to(at::kDouble) * 0.9 + g.to(at::kDouble) * 0.1;
    const at::Tensor second = v.to(at::kDouble) * 0.95 + g.to(at::kDouble).square() * 0.05;
    const double n = static_cast<double>(step), c1 = 1 - std::pow(0.9, n), c2 = 1 - std::pow(0.95, n);
    const at::Tensor exact = w - 3e-4 / c1 * first / (second.sqrt() / std::sqrt(c2) + 1e-8);
    CHECK(beyond_rounding(update.master, exact) < 2e-7);
    CHECK(beyond_rounding(update.first, first) < 2e-7);
    CHECK(beyond_rounding(update.second, second) < 2e-7);
  }
}

TEST_CASE("the CPU's own loop and the kernel give the same bits, in every form") {
  const std::int64_t size = 777;
  for (const at::ScalarType moments : {at::kFloat, at::kBFloat16}) {
    for (const auto& [split, gradients] : {std::pair{false, at::kFloat}, std::pair{true, at::kFloat},
                                           std::pair{false, at::kBFloat16}, std::pair{true, at::kBFloat16}}) {
      const auto run = [&, split = split, gradients = gradients](at::Device device) {
        at::manual_seed(5);
        const at::Tensor start = at::randn({size}).to(device), zeros = at::zeros({size}, moments);
        AdamWUpdate update = settings(1);
        update.first = zeros.to(device).clone(), update.second = zeros.to(device).clone();
        at::Tensor weight, rest;
        split_master(start, weight, rest);
        if (split) {
          update.weight = weight, update.rest = rest;
        } else {
          update.master = start.clone();
        }
        for (update.step = 1; update.step <= 5; ++update.step) {
          update.gradient = gradient_of(update.step, size).to(device, gradients);
          adamw_update(update);
        }
        return (split ? joined_master(weight, rest) : update.master).cpu();
      };
      const at::Tensor alone = run(at::kCPU);
      const KernelsOn kernels;
      CHECK(same_bits(run(kernels.device()), alone));
    }
  }
}

TEST_CASE("a bfloat16 gradient is the float32 number that it is") {
  const KernelsOn kernels;
  at::manual_seed(6);
  const at::Tensor start = at::randn({777}), gradient = gradient_of(1, 777).to(at::kBFloat16);
  const auto run = [&](at::ScalarType dtype) {
    AdamWUpdate update = settings(1);
    update.master = kernels(start).clone(), update.gradient = kernels(gradient.to(dtype));
    update.first = kernels(at::zeros({777})), update.second = kernels(at::zeros({777}));
    adamw_update(update);
    return update.master.cpu();
  };
  CHECK(same_bits(run(at::kBFloat16), run(at::kFloat)));
}

TEST_CASE("a NaN gradient makes NaN weights, not zeros") {
  const KernelsOn kernels;
  at::Tensor weight, rest;
  split_master(kernels(at::ones({2})), weight, rest);
  AdamWUpdate update = settings(1);
  update.weight = weight, update.rest = rest;
  update.gradient = kernels(at::tensor({1.0F, std::nanf("")}));
  update.first = kernels(at::zeros({2})), update.second = kernels(at::zeros({2}));
  adamw_update(update);
  CHECK(weight.isnan().cpu()[1].item<bool>());
  CHECK(joined_master(weight, rest).isnan().cpu()[1].item<bool>());
  CHECK(weight.isfinite().cpu()[0].item<bool>());
}
