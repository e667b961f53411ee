// SPDX-License-Identifier: Apache-2.0
// What launchers share: the element type from its name, how wide accesses may be, how many threads a row gets.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "core/cuda/kernels.hpp"
#include "core/ops/arithmetic/number.hpp"

namespace espalier::cuda {

using arithmetic::Bf16;
using arithmetic::Half;

template <class T>
struct Type {
  using type = T;
};

// call(Type<T>()) for the element type of that name.
template <class Call>
void with_type(Number number, const Call& call) {
  switch (number) {
    case Number::f32:
      return call(Type<float>());
    case Number::bf16:
      return call(Type<Bf16>());
    case Number::f16:
      return call(Type<Half>());
  }
}

// Elements of T in 16 bytes.
template <class T>
inline constexpr int kPack = 16 / static_cast<int>(sizeof(T));

// May rows of `width` elements that begin at these addresses be moved in packs of `pack` elements of `size` bytes?
inline bool packs_fit(std::int64_t width, int pack, int size, std::initializer_list<const void*> addresses) {
  const auto bytes = static_cast<std::uintptr_t>(pack) * static_cast<std::uintptr_t>(size);
  return width % pack == 0 && std::all_of(addresses.begin(), addresses.end(), [&](const void* address) {
           return reinterpret_cast<std::uintptr_t>(address) % bytes == 0;
         });
}

// Threads for one row: whole warps, no more than there are packs.
inline unsigned threads_for(std::int64_t packs, std::int64_t most) {
  return static_cast<unsigned>(std::clamp<std::int64_t>((packs + 31) / 32 * 32, 32, most));
}

// Grids are one-dimensional in rows; a launch with an empty grid would be an error.
inline constexpr std::int64_t kMostBlocks = 0x7fffffff;

}  // namespace espalier::cuda
