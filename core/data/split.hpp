// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "core/data/prepare.hpp"

namespace espalier {

// Whether a document with this identity is in the validation part.
bool is_validation(std::uint64_t identity, double valid_fraction);

// One part of a file, or nothing when no document of it falls there. Throws Error for a raw .bin, which has no
// documents to split by.
std::optional<TokenFile> split_part(const TokenFile& tokens, const std::string& name, Split split,
                                    double valid_fraction);

}  // namespace espalier
