// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "core/forward/model.hpp"

namespace espalier {

// The rotation tables of a pass: layers of equal head_dim share one.
class RotaryCache {
 public:
  RotaryCache(const ModelSpec& spec, std::int64_t positions, Compute compute)
      : spec_(spec), positions_(positions), compute_(compute) {}
  const Rotary& of_layer(std::int64_t layer);

 private:
  const ModelSpec& spec_;
  std::int64_t positions_;
  Compute compute_;
  std::map<std::int64_t, Rotary> by_head_dim_;
};

}  // namespace espalier
