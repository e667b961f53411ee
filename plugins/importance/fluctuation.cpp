// SPDX-License-Identifier: Apache-2.0
#include "fluctuation.hpp"

#include <ATen/TensorOperators.h>

#include "host_statistics.hpp"
#include "state.hpp"
#include "taps.hpp"

namespace espalier::plugins {

Needs FluctuationMetric::needs(const AxisInfo& axis) const {
  Needs needs{Evidence::activations, read_tap_of("fluctuation", axis)};
  needs.readers = kind_ != "ifv";
  return needs;
}

void FluctuationMetric::begin(const Site& site) {
  site_ = site;
  moments_ = TokenMoments(site.units * site.channels);
}

void FluctuationMetric::observe(const Observation& observation) {
  if (observation.readers.defined()) {
    readers_ = sum_readers(observation.readers, site_);
    return;
  }
  if (const auto statistics = host_statistics(observation.input)) {
    for (std::int64_t b = 0; b < statistics->size(0); ++b) {
      const at::Tensor sample = statistics->select(0, b);
      moments_.add(observation.input.size(1), sample.select(0, 2), sample.select(0, 3));
    }
    return;
  }
  for (std::int64_t b = 0; b < observation.input.size(0); ++b) {  // sample by sample: see ActivationMetric
    moments_.add(observation.input.select(0, b).flatten(1));
  }
}

at::Tensor FluctuationMetric::scores() const {
  if (moments_.tokens() == 0) throw Error("metric 'fluctuation' has no scores; got 0 tokens; expected at least 1");
  if (kind_ == "ifv") return over_channels(moments_.variance(), site_);
  ESPALIER_CHECK(readers_.square.defined(), "fluctuation was shown no readers");
  const auto beside = [&](const at::Tensor& x) { return x.to(readers_.square.device()); };
  if (kind_ == "wifv") return over_channels(beside(moments_.variance()) * readers_.square, site_);
  return over_channels(beside(moments_.sum_of_squares().sqrt()) * readers_.absolute / readers_.outputs, site_);
}

std::vector<at::Tensor> FluctuationMetric::state() const { return copy_state(moments_.state()); }

void FluctuationMetric::restore(const std::vector<at::Tensor>& state) {
  moments_.state() = check_state("fluctuation", state, moments_.state());
}

void FluctuationMetric::merge(const std::vector<at::Tensor>& later) {
  moments_.merge(check_state("fluctuation", later, moments_.state()));
}

}  // namespace espalier::plugins
