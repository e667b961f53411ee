// SPDX-License-Identifier: Apache-2.0
// The team of core/ops/arithmetic/number.hpp as a loop: the same packs for each thread and the same tree as
// core/cuda/block_team.cuh, so that a row program computes on the CPU what it computes on a GPU.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace espalier::test {

template <int N>
class HostTeam {
 public:
  explicit HostTeam(std::int64_t threads) : threads_(threads) {}

  template <class Accumulator, class Step, class Merge>
  Accumulator reduce(std::int64_t width, const Accumulator& start, const Step& step, const Merge& merge) const {
    std::vector<Accumulator> parts(static_cast<std::size_t>(threads_), start);
    for (std::int64_t t = threads_ - 1; t >= 0; --t) {
      for (std::int64_t i = t * N; i < width; i += threads_ * N) step(parts[static_cast<std::size_t>(t)], i);
    }
    std::vector<Accumulator> warps(32, start);
    for (std::int64_t warp = 0; warp < threads_ / 32; ++warp) {
      warps[static_cast<std::size_t>(warp)] = tree(&parts[static_cast<std::size_t>(warp * 32)], merge);
    }
    return tree(warps.data(), merge);
  }

  // In no order that a program may count on.
  template <class Step>
  void each(std::int64_t width, const Step& step) const {
    for (std::int64_t t = threads_ - 1; t >= 0; --t) {
      for (std::int64_t i = t * N; i < width; i += threads_ * N) step(i);
    }
  }

  template <class Step>
  void once(const Step& step) const {
    step();
  }
  void wait() const {}

 private:
  template <class Accumulator, class Merge>
  static Accumulator tree(Accumulator* lanes, const Merge& merge) {
    for (int distance = 16; distance > 0; distance /= 2) {
      for (int lane = 0; lane < distance; ++lane) lanes[lane] = merge(lanes[lane], lanes[lane + distance]);
    }
    return lanes[0];
  }

  std::int64_t threads_;
};

}  // namespace espalier::test
