// SPDX-License-Identifier: Apache-2.0
// Specs, scores and selections for axes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "espalier/sdk/axis.hpp"
#include "espalier/testkit/compare.hpp"
#include "espalier/testkit/specs.hpp"

namespace espalier::testkit {

inline bool names(const AxisInfo& axis, Dim dim) {
  return std::find(axis.dims.begin(), axis.dims.end(), dim) != axis.dims.end();
}

// What a tap's last tensor dimension is.
inline std::vector<Dim> dims_seen_at(Tap tap) {
  switch (tap) {
    case Tap::none:
      return {};
    case Tap::norm_output:
      return {Dim::hidden};
    case Tap::pre_activation:
    case Tap::up_output:
    case Tap::fc2_input:
      return {Dim::ffn};
    case Tap::o_proj_input:
      break;
  }
  return {Dim::kv_groups, Dim::heads_per_group, Dim::head_dim};
}

// Units of an axis of layers: the layers that have its part, ascending.
inline std::vector<std::size_t> layers_of(const ModelSpec& spec, const AxisInfo& axis) {
  std::vector<std::size_t> layers;
  for (std::size_t l = 0; l < spec.layers.size(); ++l) {
    const LayerSpec& layer = spec.layers[l];
    const bool has = axis.part == Part::whole || (axis.part == Part::attention ? layer.attention : layer.mlp);
    if (has) layers.push_back(l);
  }
  return layers;
}

// Units of an axis in a layer: the product of its dimensions, 0 where the layer lacks the part that has them. Of an
// axis of layers: in the whole model.
inline std::int64_t units_in(const ModelSpec& spec, const AxisInfo& axis, std::size_t layer) {
  if (spec.layers.empty()) return 0;
  if (removes_layers(axis)) return static_cast<std::int64_t>(layers_of(spec, axis).size());
  const LayerSpec& here = spec.layers[std::min(layer, spec.layers.size() - 1)];
  const bool of_attention =
      names(axis, Dim::kv_groups) || names(axis, Dim::heads_per_group) || names(axis, Dim::head_dim);
  if ((of_attention && !here.attention) || (names(axis, Dim::ffn) && !here.mlp)) return 0;
  const std::int64_t extents[] = {spec.hidden,
                                  here.ffn,
                                  here.kv_groups,
                                  here.heads_per_group,
                                  here.head_dim,
                                  spec.vocab,
                                  static_cast<std::int64_t>(spec.layers.size())};
  std::int64_t product = 1;
  for (const Dim dim : axis.dims) product *= extents[static_cast<int>(dim)];
  return product;
}

inline std::size_t places_of(const ModelSpec& spec, const AxisInfo& axis) {
  return axis.shared ? 1 : spec.layers.size();
}

// Scores without ties: a shuffle of 1 … units in each place.
inline Scores shuffled_scores(const ModelSpec& spec, const AxisInfo& axis, std::uint64_t seed) {
  Scores scores;
  for (std::size_t place = 0; place < places_of(spec, axis); ++place) {
    const at::Tensor noise = normal({units_in(spec, axis, place)}, seed + place);
    scores.per_layer.push_back(noise.argsort().argsort().to(at::kFloat) + 1.0);
  }
  return scores;
}

// Of an axis whose units go as one run: a score for each run of `run` units, without ties.
inline Scores shuffled_run_scores(const ModelSpec& spec, const AxisInfo& axis, std::int64_t run, std::uint64_t seed) {
  const at::Tensor noise = normal({units_in(spec, axis, 0) - run + 1}, seed);
  return {{noise.argsort().argsort().to(at::kFloat) + 1.0}};
}

inline Scores equal_scores(const ModelSpec& spec, const AxisInfo& axis) {
  Scores scores;
  for (std::size_t place = 0; place < places_of(spec, axis); ++place) {
    scores.per_layer.push_back(at::ones({units_in(spec, axis, place)}));
  }
  return scores;
}

// Multiples of the step, and the extent itself; only that one when the numbers are none of a small model's, as a broken
// axis may say anything.
inline std::vector<std::int64_t> legal_keeps(std::int64_t extent, std::int64_t step) {
  constexpr std::int64_t kLargest = 4096;
  if (step < 1 || extent > kLargest) return {extent};
  std::vector<std::int64_t> keeps;
  for (std::int64_t keep = step; keep < extent; keep += step) keeps.push_back(keep);
  keeps.push_back(extent);
  return keeps;
}

// `before` without what an axis of layers drops: all of a layer, or its part.
inline ModelSpec without_units(const ModelSpec& before, const AxisInfo& axis, const std::vector<std::int64_t>& kept) {
  const std::vector<std::size_t> layers = layers_of(before, axis);
  ModelSpec after = before;
  if (axis.part == Part::whole) after.layers.clear();
  for (std::size_t unit = 0; unit < layers.size(); ++unit) {
    const bool stays = std::find(kept.begin(), kept.end(), static_cast<std::int64_t>(unit)) != kept.end();
    if (axis.part == Part::whole) {
      if (stays) after.layers.push_back(before.layers[layers[unit]]);
    } else if (!stays) {
      LayerSpec& layer = after.layers[layers[unit]];
      (axis.part == Part::attention ? layer.attention : layer.mlp) = false;
    }
  }
  return after;
}

// `after` with the extents of the axis itself as they were: the spec before the cut,
// if nothing else was changed. What the channels of a head are rotated by goes with them.
inline ModelSpec with_own_dimensions_of(const ModelSpec& before, ModelSpec after, const AxisInfo& axis) {
  if (names(axis, Dim::hidden)) after.hidden = before.hidden;
  if (names(axis, Dim::vocab)) after.vocab = before.vocab;
  if (names(axis, Dim::head_dim)) after.rope = before.rope;
  for (std::size_t l = 0; l < std::min(before.layers.size(), after.layers.size()); ++l) {
    if (names(axis, Dim::ffn)) after.layers[l].ffn = before.layers[l].ffn;
    if (names(axis, Dim::kv_groups)) after.layers[l].kv_groups = before.layers[l].kv_groups;
    if (names(axis, Dim::heads_per_group)) after.layers[l].heads_per_group = before.layers[l].heads_per_group;
    if (names(axis, Dim::head_dim)) after.layers[l].head_dim = before.layers[l].head_dim;
  }
  return after;
}

// Where two specs differ first, "hidden; got 20; expected 24"; nothing when they are equal.
inline std::string first_difference(const ModelSpec& got, const ModelSpec& expected) {
  std::string text;
  const auto compare = [&](const std::string& name, const auto& a, const auto& b) {
    if (text.empty() && !(a == b)) text = concat(name, "; got ", a, "; expected ", b);
  };
  compare("hidden", got.hidden, expected.hidden);
  compare("vocab", got.vocab, expected.vocab);
  compare("max_positions", got.max_positions, expected.max_positions);
  compare("layers", got.layers.size(), expected.layers.size());
  for (std::size_t l = 0; text.empty() && l < got.layers.size(); ++l) {
    const LayerSpec &a = got.layers[l], &b = expected.layers[l];
    const std::string of = concat(" of layer ", l);
    compare("kv_groups" + of, a.kv_groups, b.kv_groups);
    compare("heads_per_group" + of, a.heads_per_group, b.heads_per_group);
    compare("head_dim" + of, a.head_dim, b.head_dim);
    compare("ffn" + of, a.ffn, b.ffn);
    compare("sliding_window" + of, a.sliding_window, b.sliding_window);
    compare("attention" + of, a.attention, b.attention);
    compare("mlp" + of, a.mlp, b.mlp);
  }
  if (text.empty() && !(got == expected)) text = "family, norm, activation, biases or rope";
  return text;
}

}  // namespace espalier::testkit
