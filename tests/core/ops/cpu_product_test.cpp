// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/ops/cpu_product.hpp"
#include "core/ops/cpu_simd.hpp"
#include "core/ops/ops.hpp"
#include "gradcheck.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

at::Tensor transposed_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& start) {
  at::Tensor out = start.defined() ? start.clone() : at::empty({a.size(1), b.size(1)});
  for (std::int64_t first = 0; first < b.size(1); first += cpu::kProductColumns) {
    cpu::transposed_product(a.const_data_ptr<float>(), b.const_data_ptr<float>(), out.mutable_data_ptr<float>(),
                            a.size(0), a.size(1), b.size(1), first, start.defined());
  }
  return out;
}

}  // namespace

TEST_CASE("a transposed product of any size is that of float64, alone or added, on every vector width") {
  at::manual_seed(1);
  const cpu::Width widest = cpu::width();
  for (const cpu::Width width : {cpu::Width::base, cpu::Width::avx2, cpu::Width::avx512}) {
    if (width > widest) continue;  // this CPU lacks it
    cpu::width() = width;
    for (const std::int64_t rows : {1, 7, 128, 300}) {
      for (const std::int64_t m : {1, 3, 64, 257}) {
        for (const std::int64_t n : {1, 5, 24, 32, 100}) {
          CAPTURE(rows);
          CAPTURE(m);
          CAPTURE(n);
          const at::Tensor a = at::randn({rows, m}), b = at::randn({rows, n}), start = at::randn({m, n});
          const at::Tensor exact = at::mm(a.to(at::kDouble).t(), b.to(at::kDouble));
          CHECK(difference(transposed_product(a, b, {}), exact) < 1e-4);  // sums of 300 float32 products up to 10
          CHECK(difference(transposed_product(a, b, start), exact + start) < 1e-4);
        }
      }
    }
  }
  cpu::width() = widest;
}

TEST_CASE("a weight's gradient is what it would be in plain operations, small or large") {
  at::manual_seed(2);
  for (const auto& [m, n] : {std::pair{96, 216}, std::pair{257, 96}, std::pair{640, 600}}) {
    const at::Tensor dy = at::randn({200, m}), x = at::randn({200, n});
    const at::Tensor exact = at::mm(dy.to(at::kDouble).t(), x.to(at::kDouble));
    CHECK(difference(product(dy.t(), x), exact) < 1e-4);
    at::Tensor out = at::ones({m, n});
    product_into(out, dy.t(), x, true);
    CHECK(difference(out, exact + 1) < 1e-4);
    product_into(out, dy.t(), x, false);
    CHECK(difference(out, exact) < 1e-4);
  }
}
