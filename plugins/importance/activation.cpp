// SPDX-License-Identifier: Apache-2.0
#include "activation.hpp"

#include <ATen/ops/linalg_vector_norm.h>

#include "host_statistics.hpp"
#include "state.hpp"

namespace espalier::plugins {

ActivationMetric::ActivationMetric(const Options& options)
    : options_(options), seq_(reduce_named(options.seq)), token_norm_(options.norm == "token_norm") {}

Needs ActivationMetric::needs(const AxisInfo& axis) const {
  return {Evidence::activations, tap_of("activation", axis, options_.tap)};
}

void ActivationMetric::begin(const Site& site) {
  site_ = site;
  const bool per_unit = token_norm_ || site.channels == 1;
  samples_ = SampleReduction(reduce_named(options_.batch), per_unit ? site.units : site.units * site.channels);
}

void ActivationMetric::observe(const Observation& observation) {
  const at::Tensor& batch = observation.input;  // (batch, seq, units, channels)
  ESPALIER_CHECK(batch.dim() == 4 && batch.size(2) == site_.units && batch.size(3) == site_.channels, "activation ",
                 batch.sizes());
  const bool fold = token_norm_ && site_.channels > 1;
  if (const auto statistics = fold ? std::nullopt : host_statistics(batch)) {
    const at::Tensor reduced = reduced_statistics(*statistics, batch.size(1), seq_);
    for (std::int64_t b = 0; b < batch.size(0); ++b) samples_.add(reduced.select(0, b));
    return;
  }
  // One sample at a time, so that not even rounding depends on the micro-batch.
  for (std::int64_t b = 0; b < batch.size(0); ++b) {
    const at::Tensor sample = batch.select(0, b).to(at::kFloat);
    samples_.add(
        reduce_tokens(fold ? at::linalg_vector_norm(sample, 2, at::IntArrayRef({2})) : sample.flatten(1), seq_));
  }
}

at::Tensor ActivationMetric::scores() const {
  if (samples_.samples() == 0) throw Error("metric 'activation' has no scores; got 0 samples; expected at least 1");
  at::Tensor finished = samples_.finish();
  if (finished.numel() != site_.units) {
    finished = at::linalg_vector_norm(finished.view({site_.units, site_.channels}), 2, at::IntArrayRef({1}));
  }
  return finished.to(at::kCPU, at::kFloat);
}

std::vector<at::Tensor> ActivationMetric::state() const { return copy_state(samples_.state()); }

void ActivationMetric::restore(const std::vector<at::Tensor>& state) {
  samples_.state() = check_state("activation", state, samples_.state());
}

void ActivationMetric::merge(const std::vector<at::Tensor>& later) {
  samples_.merge(check_state("activation", later, samples_.state()));
}

}  // namespace espalier::plugins
