// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/ops/arithmetic/number.hpp"

using namespace espalier::arithmetic;

TEST_CASE("numbers become narrow as LibTorch rounds them, and wide without a change, over all of float32's range") {
  // Every exponent and sign with the mantissas where rounding turns, and their neighbours.
  for (std::uint32_t high = 0; high < 0x10000; high += 13) {
    for (const std::uint32_t low : {0x0000U, 0x0001U, 0x0fffU, 0x1000U, 0x1001U, 0x7fffU, 0x8000U, 0x8001U, 0xffffU}) {
      const float x = float_of(high << 16 | low);
      if (std::isnan(x)) {
        CHECK(std::isnan(wide(narrow<Bf16>(x))));
        CHECK(std::isnan(wide(narrow<Half>(x))));
        continue;
      }
      REQUIRE(narrow<Bf16>(x).bits == c10::BFloat16(x).x);
      REQUIRE(narrow<Half>(x).bits == c10::Half(x).x);
    }
  }
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const c10::Half half(static_cast<std::uint16_t>(bits), c10::Half::from_bits());
    const float x = wide(Half{static_cast<std::uint16_t>(bits)});
    if (std::isnan(x)) continue;
    REQUIRE(x == static_cast<float>(half));
  }
}
