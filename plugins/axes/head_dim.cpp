// SPDX-License-Identifier: Apache-2.0
#include "head_dim.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include <ATen/core/Tensor.h>

namespace espalier::plugins {
namespace {

// The rotated channels come first: pair i is channel i and channel i + rotary/2. The others pass.
struct Head {
  std::int64_t width = 0, rotary = 0;
};

// The pairs 0, s, 2s, … of a head, and some of the channels that pass.
struct Choice {
  std::int64_t pairs = 0, stride = 1;
  double sum = 0.0;
  std::vector<std::int64_t> kept;  // ascending
};

std::int64_t rotated(std::int64_t width, double partial) {
  return static_cast<std::int64_t>(static_cast<double>(width) * partial);  // as transformers does
}

Head head_of(const ModelSpec& spec) {
  Head head;
  for (const LayerSpec& layer : spec.layers) {
    if (!layer.attention) continue;
    if (head.width != 0 && layer.head_dim != head.width) {
      throw Error(concat("axis 'head_dim' makes one choice for all layers; got head_dim ", head.width, " and ",
                         layer.head_dim, "; expected equal ones"));
    }
    head.width = layer.head_dim;
  }
  if (head.width == 0) throw Error("axis 'head_dim' has nothing to cut; got no attention; expected one or more");
  const std::string& type = spec.rope.type;
  if (type != "default" && type != "linear" && type != "llama3") {
    throw Error(concat("axis 'head_dim' does not know how rotary embeddings of this type change; got \"", type,
                       "\"; expected \"default\", \"linear\" or \"llama3\""));
  }
  head.rotary = rotated(head.width, spec.rope.partial);
  return head;
}

// The share of `width` that gives back exactly `rotary` channels; nothing when no double does.
std::optional<double> share_of(std::int64_t rotary, std::int64_t width) {
  const double share = static_cast<double>(rotary) / static_cast<double>(width);
  for (const double one : {share, std::nextafter(share, 2.0)}) {
    if (one <= 1.0 && rotated(width, one) == rotary) return one;
  }
  return std::nullopt;
}

Choice choice_of(const Head& head, const std::vector<double>& scores, const std::vector<std::int64_t>& passing,
                 std::int64_t pairs, std::int64_t stride) {
  Choice choice{pairs, stride, 0.0, {}};
  for (std::int64_t j = 0; j < pairs; ++j) {
    choice.kept.push_back(stride * j);
    choice.kept.push_back(stride * j + head.rotary / 2);
  }
  choice.kept.insert(choice.kept.end(), passing.begin(), passing.end());
  std::sort(choice.kept.begin(), choice.kept.end());
  for (const std::int64_t channel : choice.kept) choice.sum += scores[static_cast<std::size_t>(channel)];
  return choice;
}

// Of equal sums the choice with the lower channels.
bool better(const Choice& a, const Choice& b) { return a.sum != b.sum ? a.sum > b.sum : a.kept < b.kept; }

Choice best_choice(const Head& head, const std::vector<double>& scores, std::int64_t keep) {
  const std::vector<double> free(scores.begin() + head.rotary, scores.end());
  std::optional<Choice> best;
  for (std::int64_t pairs = std::max<std::int64_t>(1, (keep - (head.width - head.rotary) + 1) / 2);
       2 * pairs <= std::min(keep, head.rotary); ++pairs) {
    if (!share_of(2 * pairs, keep)) continue;
    std::vector<std::int64_t> passing = top_k(free, keep - 2 * pairs);
    for (std::int64_t& channel : passing) channel += head.rotary;
    // A single pair is the first one whatever the stride.
    for (std::int64_t stride = 1; stride == 1 || (pairs > 1 && stride * (pairs - 1) < head.rotary / 2); ++stride) {
      Choice choice = choice_of(head, scores, passing, pairs, stride);
      if (!best || better(choice, *best)) best = std::move(choice);
    }
  }
  if (!best) {
    throw Error(concat("axis 'head_dim' finds no rotary embedding; got keep ", keep, " of ", head.width, " channels, ",
                       head.rotary, " of them rotated; expected another keep"));
  }
  return std::move(*best);
}

// How many pairs a selection keeps, and every how manieth. Throws Error for one that no rotary embedding has.
Choice read_choice(const Head& head, const std::vector<std::int64_t>& kept) {
  const std::int64_t half = head.rotary / 2;
  const auto below = [&](std::int64_t end) { return std::lower_bound(kept.begin(), kept.end(), end); };
  Choice choice;
  choice.pairs = below(half) - kept.begin();
  choice.stride = choice.pairs > 1 ? kept[1] : 1;
  bool good = choice.pairs > 0 && below(head.rotary) - below(half) == choice.pairs;
  for (std::int64_t j = 0; good && j < choice.pairs; ++j) {
    good = kept[static_cast<std::size_t>(j)] == choice.stride * j &&
           kept[static_cast<std::size_t>(choice.pairs + j)] == choice.stride * j + half;
  }
  if (good) return choice;
  throw Error(concat("selection of axis 'head_dim' is no rotary embedding; got ", choice.pairs,
                     " channels of the first ", half, "; expected 0, s, 2s, … and the same ones plus ", half));
}

}  // namespace

AxisInfo HeadDimAxis::describe() const {
  return {.name = "head_dim",
          .unit = "head channel",
          .dims = {Dim::head_dim},
          .shared = true,
          .taps = {Tap::o_proj_input},
          .hugging_face_name = "head_dim",
          .megatron_name = "kv_channels"};
}

std::int64_t HeadDimAxis::extent(const ModelSpec& spec) const { return head_of(spec).width; }

std::int64_t HeadDimAxis::step(const ModelSpec& spec) const {
  return std::min(std::lcm<std::int64_t>(2, options_.granularity), head_of(spec).width);
}

Selection HeadDimAxis::select(const ModelSpec& spec, const Scores& scores, std::int64_t keep) const {
  const Head head = head_of(spec);
  const std::string place = place_of("head_dim", -1);
  check_keep("head_dim", keep, head.width, step(spec));
  check_count("head_dim", scores.per_layer.size(), 1);
  const std::vector<double> numbers = read_scores(scores.per_layer.front(), head.width, place);
  if (keep < head.width) return {{best_choice(head, numbers, keep).kept}};
  std::vector<std::int64_t> all(static_cast<std::size_t>(head.width));
  std::iota(all.begin(), all.end(), 0);
  return {{all}};
}

ModelSpec HeadDimAxis::shrink(const ModelSpec& spec, const Selection& selection) const {
  const Head head = head_of(spec);
  check_count("head_dim", selection.kept.size(), 1);
  const std::vector<std::int64_t>& kept = selection.kept.front();
  check_kept(kept, head.width, place_of("head_dim", -1));
  const auto width = static_cast<std::int64_t>(kept.size());
  if (width == head.width) return spec;
  const Choice choice = read_choice(head, kept);
  const std::int64_t rotary = 2 * choice.pairs;
  const std::optional<double> share = share_of(rotary, width);
  if (!share) {
    throw Error(concat("axis 'head_dim' cannot say what share of a head is rotated; got ", rotary, " of ", width,
                       " channels; expected another keep"));
  }
  ModelSpec smaller = spec;
  for (LayerSpec& layer : smaller.layers) {
    if (layer.attention) layer.head_dim = width;
  }
  smaller.rope.partial = *share;
  if (choice.stride * rotary != head.rotary) {
    smaller.rope.theta =
        std::pow(spec.rope.theta, static_cast<double>(choice.stride * rotary) / static_cast<double>(head.rotary));
  }
  return smaller;
}

// q·k is divided by the root of what is left instead of what was there.
std::vector<Fold> HeadDimAxis::folds(const ModelSpec& spec, const Scores&, const Selection& selection) const {
  const Head head = head_of(spec);
  const std::vector<std::int64_t>& kept = selection.kept.front();
  const double share = static_cast<double>(kept.size()) / static_cast<double>(head.width);
  std::vector<Fold> folds;
  if (share == 1.0) return folds;
  Fold fold;
  // Norms of q and k undo a scale in front of them; their weights are those of both.
  fold.product = {Dim::head_dim};
  fold.own = std::sqrt(std::sqrt(share));
  if (!spec.qk_norm) {
    fold.product = {Dim::kv_groups, Dim::heads_per_group, Dim::head_dim};
    fold.own = std::sqrt(share);
  }
  for (std::size_t l = 0; l < spec.layers.size(); ++l) {
    if (!spec.layers[l].attention) continue;
    fold.layer = static_cast<std::int64_t>(l);
    for (const std::int64_t channel : kept) {
      fold.unit = fold.from = channel;
      folds.push_back(fold);
    }
  }
  return folds;
}

}  // namespace espalier::plugins
