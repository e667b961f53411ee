// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/ops/statistics.hpp"
#include "test_device.hpp"

using namespace espalier;
using namespace espalier::test;

TEST_CASE("rows and columns by index are index_select's, along any dimension and from any place") {
  at::manual_seed(1);
  const KernelsOn kernels;
  for (const at::ScalarType dtype : kNarrowAndWide) {
    for (const std::int64_t width : {1, 6, 64}) {
      const at::Tensor x = unaligned_randn({5, 7, width}, dtype);
      for (std::int64_t dim = 0; dim < 3; ++dim) {
        const at::Tensor index = at::randint(x.size(dim), {4}, at::kLong);
        const at::Tensor got = gathered(kernels(x), dim, kernels(index));
        CHECK(at::equal(got.cpu(), x.index_select(dim, index)));
      }
    }
  }
  const at::Tensor none = gathered(kernels(at::randn({3, 2})), 0, kernels(at::zeros({0}, at::kLong)));
  CHECK((none.sizes() == at::IntArrayRef({0, 2})));
}
