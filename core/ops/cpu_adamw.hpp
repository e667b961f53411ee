// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/ops/arithmetic/adamw.hpp"

namespace espalier::cpu {

// Elements [begin, end) of one AdamW update.
template <class M>
void adamw(const arithmetic::AdamWArrays<M>& arrays, std::int64_t begin, std::int64_t end,
           const arithmetic::AdamWNumbers& numbers);

// A float32 master to its two halves and back.
void split(const float* master, arithmetic::Bf16* weight, std::int16_t* rest, std::int64_t size);
void join(const arithmetic::Bf16* weight, const std::int16_t* rest, float* master, std::int64_t size);

}  // namespace espalier::cpu
