// SPDX-License-Identifier: Apache-2.0
#include "random.hpp"

#include <ATen/ops/empty.h>

#include "state.hpp"

namespace espalier::plugins {
namespace {

// splitmix64: the number at one position of the stream that `seed` names.
std::uint64_t draw(std::uint64_t seed, std::uint64_t position) {
  std::uint64_t word = seed + (position + 1) * 0x9E3779B97F4A7C15u;
  word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
  word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
  return word ^ (word >> 31);
}

}  // namespace

Needs RandomMetric::needs(const AxisInfo&) const { return {Evidence::none, Tap::none}; }

void RandomMetric::begin(const Site& site) { site_ = site; }

void RandomMetric::observe(const Observation&) { ESPALIER_CHECK(false, "random observes nothing"); }

at::Tensor RandomMetric::scores() const {
  at::Tensor scores = at::empty({site_.units}, at::kFloat);
  float* out = scores.mutable_data_ptr<float>();
  for (std::int64_t unit = 0; unit < site_.units; ++unit) {
    out[unit] = static_cast<float>(draw(site_.seed, static_cast<std::uint64_t>(unit)) >> 40) * 0x1p-24f;
  }
  return scores;
}

std::vector<at::Tensor> RandomMetric::state() const { return {}; }

void RandomMetric::restore(const std::vector<at::Tensor>& state) { check_state("random", state, {}); }

void RandomMetric::merge(const std::vector<at::Tensor>& later) { check_state("random", later, {}); }

}  // namespace espalier::plugins
