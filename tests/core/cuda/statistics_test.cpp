// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/ops/adamw.hpp"
#include "core/ops/statistics.hpp"
#include "test_device.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

at::Tensor exact_statistics(const at::Tensor& x) {
  const at::Tensor wide = x.to(at::kDouble);
  return at::stack({wide.abs().sum(1), wide.square().sum(1), wide.mean(1), at::var(wide, {1}, 0) * wide.size(1)}, 1);
}

}  // namespace

TEST_CASE("statistics of channels are those of float64, for any number of tokens and channels") {
  at::manual_seed(1);
  for (const at::ScalarType dtype : kNarrowAndWide) {
    for (const std::int64_t tokens : {1, 63, 64, 65, 1000}) {
      for (const std::int64_t channels : {1, 7, 64}) {
        const KernelsOn kernels;
        const at::Tensor x = (at::randn({2, tokens, channels}) + 0.5).to(dtype), exact = exact_statistics(x);
        const at::Tensor got = channel_statistics(kernels(x)).cpu();
        CAPTURE(tokens);
        CHECK((got.scalar_type() == at::kDouble));
        // Chunks of 64 are added in float32: 64·2^-24 at worst, somewhat more for what is left of a difference.
        CHECK(at::allclose(got, exact, 1e-5, 1e-6));
      }
    }
  }
}

TEST_CASE("the deviations of channels far from zero do not cancel") {
  at::manual_seed(2);
  const KernelsOn kernels;
  const at::Tensor x = at::randn({1, 500, 8}) + 1000;
  const at::Tensor got = channel_statistics(kernels(x)).cpu(), exact = exact_statistics(x);
  // In float32, Σx² − n·mean² would be wrong in its second digit.
  CHECK(at::allclose(got.select(1, 3), exact.select(1, 3), 1e-5, 0));
}

TEST_CASE("statistics do not depend on what stands beside a sample") {
  at::manual_seed(3);
  const KernelsOn kernels;
  const at::Tensor x = kernels(at::randn({3, 130, 16}).to(at::kBFloat16));
  const at::Tensor all = channel_statistics(x);
  for (std::int64_t i = 0; i < 3; ++i) CHECK(at::equal(channel_statistics(x.narrow(0, i, 1))[0], all[i]));
  CHECK(at::equal(channel_statistics(kernels(at::zeros({2, 0, 3}))), kernels(at::zeros({2, 4, 3}, at::kDouble))));
}

TEST_CASE("without kernels the statistics are float64's") {
  at::manual_seed(4);
  const at::Tensor x = at::randn({2, 100, 5});
  CHECK(at::allclose(channel_statistics(x), exact_statistics(x), 1e-12, 1e-12));
}
