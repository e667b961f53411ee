// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/data/tokens.hpp"

namespace espalier {

std::int64_t size_of(TokenType type);  // bytes
const char* name_of(TokenType type);   // as numpy names it: "uint16"
std::uint8_t megatron_code(TokenType type);
std::optional<TokenType> token_type_of_code(std::uint8_t code);  // nothing for real numbers and unknown codes

// The types that a raw .bin may have. Throws RecipeError for any other name.
TokenType raw_token_type(const std::string& name);

// Megatron's rule: 16 bits as long as the vocabulary is below 65500.
TokenType type_for_vocab(std::int64_t vocab);

}  // namespace espalier
