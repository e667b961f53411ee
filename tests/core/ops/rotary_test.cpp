// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/ops/ops.hpp"
#include "gradcheck.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

// The frequency of pair i, read back from the angle of position 1.
double frequency(const Rotary& rotary, std::int64_t i) {
  return std::atan2(rotary.sin[1][i].item<double>(), rotary.cos[1][i].item<double>());
}

Rotary table(const Rope& rope, std::int64_t head_dim, std::int64_t positions, at::ScalarType dtype = at::kDouble) {
  return rotary_table(rope, head_dim, positions, dtype, at::kCPU);
}

}  // namespace

TEST_CASE("plain frequencies are theta^(-2i/rotary), and linear scaling divides them") {
  Rope rope;
  rope.theta = 1000;
  rope.partial = 0.5;
  const Rotary plain = table(rope, 16, 3);
  CHECK((plain.cos.sizes() == at::IntArrayRef({3, 8})));
  for (std::int64_t i = 0; i < 4; ++i) CHECK(frequency(plain, i) == doctest::Approx(std::pow(1000.0, -i / 4.0)));
  CHECK(at::equal(plain.cos.narrow(1, 0, 4), plain.cos.narrow(1, 4, 4)));
  rope.type = "linear";
  rope.factor = 2.5;
  CHECK(frequency(table(rope, 16, 3), 0) == doctest::Approx(0.4));
}

TEST_CASE("llama3 frequencies of Llama 3.1 are the published ones") {
  Rope rope;
  rope.type = "llama3";
  rope.theta = 500000;
  rope.factor = 8;
  rope.low_freq_factor = 1;
  rope.high_freq_factor = 4;
  rope.original_max_positions = 8192;
  const Rotary llama = table(rope, 128, 2);
  const auto exactly = [](double value) { return doctest::Approx(value).epsilon(1e-7); };
  CHECK(frequency(llama, 28) == exactly(3.2114460e-3));
  CHECK(frequency(llama, 29) == exactly(2.1665708e-3));
  CHECK(frequency(llama, 32) == exactly(5.2484616e-4));
  CHECK(frequency(llama, 34) == exactly(1.7850781e-4));
  CHECK(frequency(llama, 35) == exactly(9.5562124e-5));
  CHECK(frequency(llama, 63) == exactly(3.0689260e-7));
  rope.type = "default";
  CHECK(frequency(table(rope, 128, 2), 29) == exactly(2.6160993e-3));
}

TEST_CASE("float32 tables agree with float64 ones") {
  const Rotary single = table(Rope{}, 32, 300, at::kFloat), twice = table(Rope{}, 32, 300);
  CHECK(difference(single.cos, twice.cos) < 5e-5);
  CHECK(difference(single.sin, twice.sin) < 5e-5);
}

TEST_CASE("rotation turns each pair by its angle and passes the rest") {
  at::manual_seed(1);
  Rope rope;
  rope.partial = 0.5;
  const Rotary rotary = table(rope, 8, 9);
  const at::Tensor x = at::randn({2, 3, 5, 8}, at::kDouble);  // fewer positions than the table has
  const at::Tensor y = rotate(x, rotary);
  for (std::int64_t t = 0; t < 5; ++t) {
    for (std::int64_t i = 0; i < 2; ++i) {
      const double angle = static_cast<double>(t) * std::pow(10000.0, -static_cast<double>(i) / 2);
      const double a = x[1][2][t][i].item<double>(), b = x[1][2][t][i + 2].item<double>();
      CHECK(y[1][2][t][i].item<double>() == doctest::Approx(a * std::cos(angle) - b * std::sin(angle)));
      CHECK(y[1][2][t][i + 2].item<double>() == doctest::Approx(b * std::cos(angle) + a * std::sin(angle)));
    }
  }
  CHECK(at::equal(y.narrow(3, 4, 4), x.narrow(3, 4, 4)));
}

TEST_CASE("any memory layout gives the same rotation, and so does bfloat16 within its precision") {
  at::manual_seed(2);
  const Rotary rotary = table(Rope{}, 6, 7, at::kFloat);
  const at::Tensor x = at::randn({2, 7, 3, 6}).transpose(1, 2);
  const at::Tensor expected = rotate(x.contiguous(), rotary);
  CHECK(at::equal(rotate(x, rotary), expected));
  CHECK(at::equal(rotate(x.contiguous().transpose(2, 3).contiguous().transpose(2, 3), rotary), expected));
  const at::Tensor half = rotate(x.to(at::kBFloat16), table(Rope{}, 6, 7, at::kBFloat16));
  CHECK((half.scalar_type() == at::kBFloat16));
  CHECK(difference(half, expected) < 0.06);
}

TEST_CASE("gradients of the rotation agree with finite differences") {
  at::manual_seed(3);
  Rope rope;
  rope.partial = 0.5;
  const Rotary rotary = table(rope, 8, 3);
  const auto f = [&](const std::vector<at::Tensor>& in) { return rotate(in[0].transpose(1, 2), rotary); };
  CHECK(gradient_error(f, {at::randn({2, 3, 2, 8}, at::kDouble)}) < 1e-8);
}
