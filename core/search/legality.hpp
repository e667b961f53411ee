// SPDX-License-Identifier: Apache-2.0
// What kernels and inference engines make of a shape. Advice for the table: no candidate is refused for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "espalier/sdk/spec.hpp"

namespace espalier {

struct BrokenRule {
  std::string who;   // "llama.cpp k-quants"
  std::string what;  // one sentence
};

struct Legality {
  std::int64_t multiple = 1;           // largest power of two up to 256 that divides hidden and every ffn
  std::vector<std::int64_t> parallel;  // of 1, 2, 4, 8: the tensor-parallel sizes that divide heads, KV groups and ffn
  std::vector<BrokenRule> broken;
};

Legality legality_of(const ModelSpec& spec);

}  // namespace espalier
