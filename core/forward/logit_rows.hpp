// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/forward/decoder.hpp"

namespace espalier {

// A chunk of logits: as many rows as fit into 64 MiB of float32 on the CPU, 768 MiB on a GPU; 1 at least.
std::int64_t rows_of_logits(std::int64_t vocab, at::Device device);
std::int64_t logit_rows(const Weights& outer);

}  // namespace espalier
