// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace espalier {

// Error when a token is outside the vocabulary. Looks at tokens on the CPU alone: elsewhere the look would wait for the
// device, which may end the process over such a token. So tokens are checked before they go there.
void check_tokens(const at::Tensor& tokens, std::int64_t vocab);

}  // namespace espalier
