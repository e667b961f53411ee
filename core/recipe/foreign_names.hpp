// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace espalier {

// What we call a key that other programs of this field (Hugging Face, Megatron, Model-Optimizer) spell differently, or
// "". `table` is the table it was found in ("" at the top, "spec" inside [teacher].spec).
std::string our_name(std::string_view table, std::string_view foreign);

}  // namespace espalier
