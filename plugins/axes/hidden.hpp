// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "espalier/sdk/axis.hpp"
#include "ranking.hpp"

namespace espalier::plugins {

// Channels of the residual stream: one choice for the whole model, along every tensor that touches the stream.
class HiddenAxis final : public PruningAxis {
 public:
  using Options = AxisOptions;
  explicit HiddenAxis(const Options& options) : options_(options) {}
  AxisInfo describe() const override;
  std::int64_t extent(const ModelSpec& spec) const override;
  std::int64_t step(const ModelSpec& spec) const override;
  Selection select(const ModelSpec& spec, const Scores& scores, std::int64_t keep) const override;
  ModelSpec shrink(const ModelSpec& spec, const Selection& selection) const override;

 private:
  Options options_;
};

}  // namespace espalier::plugins
