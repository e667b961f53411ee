// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "espalier/sdk/axis.hpp"
#include "ranking.hpp"

namespace espalier::plugins {

// Channels of every head, the same ones in all heads and layers. Rotated channels stay in their pairs, and only pairs
// are kept whose frequencies are again those of a rotary embedding, with another theta: every s-th one, from the first
// on. With theta^(-2i/rotary) as the frequency of pair i, m pairs s·j have theta'^(-2j/2m) for theta' =
// theta^(s·2m/rotary), also where they are scaled after that (linear, llama3). Of these choices the one with the
// largest sum of scores is kept, with the best of the channels that are not rotated. The weights make up for the scale
// of attention, 1/sqrt(head_dim).
class HeadDimAxis final : public PruningAxis {
 public:
  using Options = AxisOptions;
  explicit HeadDimAxis(const Options& options) : options_(options) {}
  AxisInfo describe() const override;
  std::int64_t extent(const ModelSpec& spec) const override;  // Error for layers that differ, and unknown rotations
  std::int64_t step(const ModelSpec& spec) const override;    // pairs: lcm of 2 and the granularity
  Selection select(const ModelSpec& spec, const Scores& scores, std::int64_t keep) const override;
  ModelSpec shrink(const ModelSpec& spec, const Selection& selection) const override;
  std::vector<Fold> folds(const ModelSpec& spec, const Scores& scores, const Selection& selection) const override;

 private:
  Options options_;
};

}  // namespace espalier::plugins
