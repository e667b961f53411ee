// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/forward/model.hpp"

namespace espalier::test {

inline const Compute kFloat32 = {at::kFloat, at::Device(at::kCPU)};
inline const Compute kFloat64 = {at::kDouble, at::Device(at::kCPU)};

inline ModelSpec tiny(const std::string& family, std::int64_t layers = 3) {
  return spec_from_json({{"family", family},
                         {"layers", layers},
                         {"hidden", 16},
                         {"heads", 4},
                         {"kv_groups", 2},
                         {"head_dim", 8},
                         {"ffn", 24},
                         {"vocab", 37}},
                        "tiny");
}

// Two sequences of that many tokens, counted on.
inline at::Tensor two_of(std::int64_t length) { return at::arange(2 * length).view({2, length}); }

inline double difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

inline const std::vector<std::string>& families() {
  static const std::vector<std::string> names = family_names();
  return names;
}

}  // namespace espalier::test
