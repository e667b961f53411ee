// SPDX-License-Identifier: Apache-2.0
// Damage by dice: the same for the same seed.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "core/base/random.hpp"

namespace espalier {

// A stream of draws.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : seed_(seed) {}
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(mix(seed_, ++draws_) % bound); }

 private:
  std::uint64_t seed_, draws_ = 0;
};

// Pieces that mean something to a reader of JSON headers.
inline constexpr std::array kWords = {"{",
                                      "}",
                                      "[",
                                      "]",
                                      ",",
                                      ":",
                                      "\"",
                                      "0",
                                      "-1",
                                      "1e9",
                                      "null",
                                      "true",
                                      "\"F64\"",
                                      "\"BOOL\"",
                                      "4294967296",
                                      "\\",
                                      "\\u0000",
                                      "18446744073709551615",
                                      "9223372036854775807",
                                      "\"shape\":[1]",
                                      "[[[[[[[[",
                                      "\"data_offsets\":[0,0]",
                                      "\"norm\":{}",
                                      "\xff",
                                      "__metadata__"};

// One small damage somewhere in the text.
inline void mutate(std::string& text, Dice& dice) {
  const std::size_t at = dice.below(text.size() + 1);
  const std::size_t count = std::min(text.size() - at, 1 + dice.below(12));
  switch (dice.below(6)) {
    case 0:
      if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << dice.below(8)));
      break;
    case 1:
      if (at < text.size()) text[at] = static_cast<char>('0' + dice.below(10));
      break;
    case 2:
      text.insert(at, kWords[dice.below(kWords.size())]);
      break;
    case 3:
      text.erase(at, count);
      break;
    case 4:
      text.insert(dice.below(text.size() + 1), text.substr(at, count));
      break;
    default:
      if (dice.below(20) == 0) text.resize(at);
      break;
  }
}

}  // namespace espalier
