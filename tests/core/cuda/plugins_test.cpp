// SPDX-License-Identifier: Apache-2.0
// Plugins that use what the host offers them (core/ops/operators.hpp), against formulas in float64.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/ops/operators.hpp"
#include "plugins/importance/activation.hpp"
#include "plugins/importance/fluctuation.hpp"
#include "plugins/importance/host_statistics.hpp"
#include "plugins/importance/wanda.hpp"
#include "test_device.hpp"
#include "tests/plugins/options.hpp"

using namespace espalier;
using namespace espalier::plugins;
using namespace espalier::test;

namespace {

// Shows the micro-batches (batch, seq, units, channels) and returns the scores.
template <class Metric>
at::Tensor scored(Metric metric, const KernelsOn& kernels, const std::vector<at::Tensor>& batches,
                  const at::Tensor& readers = {}) {
  Site site;
  site.units = batches[0].size(2), site.channels = batches[0].size(3);
  metric.begin(site);
  const at::Tensor none;
  if (readers.defined()) metric.observe({.input = none, .output = none, .gradient = none, .readers = readers});
  for (const at::Tensor& batch : batches) {
    const at::Tensor placed = kernels(batch);
    metric.observe({.input = placed, .output = none, .gradient = none, .readers = none});
  }
  return metric.scores();
}

}  // namespace

TEST_CASE("metrics of activations score from the host's statistics what their formulas say") {
  offer_operators();
  const KernelsOn kernels;
  at::manual_seed(2);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    // One channel for a unit, and three samples in two micro-batches.
    const at::Tensor all = (at::randn({3, 70, 6, 1}) + 0.3).to(dtype), x = all.squeeze(3).to(at::kDouble);
    const std::vector<at::Tensor> batches{all.narrow(0, 0, 2), all.narrow(0, 2, 1)};
    REQUIRE(host_statistics(kernels(all)).has_value());
    const auto close = [](const at::Tensor& got, const at::Tensor& exact) {
      return at::allclose(got.to(at::kDouble), exact, 1e-5, 1e-7);
    };
    const auto activation = [&](const char* seq, const char* batch) {
      return scored(make<ActivationMetric>({{"seq", text(seq)}, {"batch", text(batch)}}), kernels, batches);
    };
    CHECK(close(activation("mean", "l2"), x.abs().mean(1).square().sum(0).sqrt()));
    CHECK(close(activation("l2", "mean"), x.square().sum(1).sqrt().mean(0)));
    CHECK(close(activation("var", "mean"), at::var(x, {1}, 0).mean(0)));
    const at::Tensor ifv = scored(make<FluctuationMetric>({{"kind", text("ifv")}}), kernels, batches);
    CHECK(close(ifv, at::var(x.flatten(0, 1), {0}, 1)));
    const at::Tensor readers = at::randn({6, 1, 9});
    const at::Tensor wanda = scored(make<WandaMetric>(), kernels, batches, kernels(readers));
    CHECK(close(wanda, readers.to(at::kDouble).abs().sum(2).squeeze(1) * x.square().sum(1).sum(0).sqrt()));
  }
}

TEST_CASE("scores of units of several channels, and cuts into micro-batches, keep the host's statistics apart") {
  offer_operators();
  const KernelsOn kernels;
  at::manual_seed(3);
  const at::Tensor all = at::randn({4, 33, 3, 5});
  const auto metric = [] { return make<ActivationMetric>({{"norm", text("channel_then_norm")}}); };
  const at::Tensor whole = scored(metric(), kernels, {all});
  CHECK(at::equal(whole, scored(metric(), kernels, {all.narrow(0, 0, 1), all.narrow(0, 1, 3)})));
  const at::Tensor finished = all.to(at::kDouble).abs().mean(1).square().sum(0).sqrt();
  CHECK(at::allclose(whole.to(at::kDouble), finished.square().sum(1).sqrt(), 1e-5, 1e-7));
}
