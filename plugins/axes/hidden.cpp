// SPDX-License-Identifier: Apache-2.0
#include "hidden.hpp"

#include <ATen/core/Tensor.h>

namespace espalier::plugins {

AxisInfo HiddenAxis::describe() const {
  return {.name = "hidden",
          .unit = "channel",
          .dims = {Dim::hidden},
          .shared = true,
          .taps = {Tap::norm_output},
          .hugging_face_name = "hidden_size",
          .megatron_name = "hidden_size"};
}

std::int64_t HiddenAxis::extent(const ModelSpec& spec) const { return spec.hidden; }

std::int64_t HiddenAxis::step(const ModelSpec&) const { return options_.granularity; }

Selection HiddenAxis::select(const ModelSpec& spec, const Scores& scores, std::int64_t keep) const {
  check_keep("hidden", keep, spec.hidden, step(spec));
  check_count("hidden", scores.per_layer.size(), 1);
  return {{top_k(read_scores(scores.per_layer.front(), spec.hidden, place_of("hidden", -1)), keep)}};
}

ModelSpec HiddenAxis::shrink(const ModelSpec& spec, const Selection& selection) const {
  check_count("hidden", selection.kept.size(), 1);
  check_kept(selection.kept.front(), spec.hidden, place_of("hidden", -1));
  ModelSpec smaller = spec;
  smaller.hidden = static_cast<std::int64_t>(selection.kept.front().size());
  return smaller;
}

}  // namespace espalier::plugins
