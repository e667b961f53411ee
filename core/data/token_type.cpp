// SPDX-License-Identifier: Apache-2.0
#include "core/data/token_type.hpp"

#include <array>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"

namespace espalier {

namespace {
struct Row {
  TokenType type;
  std::int64_t size;
  const char* name;
  std::uint8_t code;
};
constexpr std::array<Row, 6> kTypes = {{{TokenType::u8, 1, "uint8", 1},
                                        {TokenType::i8, 1, "int8", 2},
                                        {TokenType::i16, 2, "int16", 3},
                                        {TokenType::i32, 4, "int32", 4},
                                        {TokenType::i64, 8, "int64", 5},
                                        {TokenType::u16, 2, "uint16", 8}}};

const Row& row(TokenType type) {
  for (const Row& one : kTypes) {
    if (one.type == type) return one;
  }
  ESPALIER_CHECK(false, "no such token type");
  return kTypes[0];
}
}  // namespace

std::int64_t size_of(TokenType type) { return row(type).size; }
const char* name_of(TokenType type) { return row(type).name; }
std::uint8_t megatron_code(TokenType type) { return row(type).code; }

std::optional<TokenType> token_type_of_code(std::uint8_t code) {
  for (const Row& one : kTypes) {
    if (one.code == code) return one.type;
  }
  return std::nullopt;
}

TokenType raw_token_type(const std::string& name) {
  for (TokenType type : {TokenType::u8, TokenType::u16, TokenType::i32}) {
    if (name == name_of(type)) return type;
  }
  const std::vector<std::string> known = {"uint8", "uint16", "int32"};
  reject("token_type is not a known choice; got '{}'; expected {}{}", name, any_of(known), did_you_mean(name, known));
}

TokenType type_for_vocab(std::int64_t vocab) { return vocab < 65500 ? TokenType::u16 : TokenType::i32; }

}  // namespace espalier
