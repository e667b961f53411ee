// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/forward/decoder.hpp"

namespace espalier {

// A chunk of logits: as many rows as fit into 64 MiB of float32.
std::int64_t logit_rows(const Weights& outer);

}  // namespace espalier
