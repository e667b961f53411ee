// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "core/forward/model.hpp"

namespace espalier {

// Tokens per second of a forward pass over (batch, seq_length) tokens with the logits of the last position: the median
// of three passes after one to warm up. A measurement of this machine, not a property of the model.
double tokens_per_second(WeightSource& weights, std::int64_t batch, std::int64_t seq_length);

}  // namespace espalier
