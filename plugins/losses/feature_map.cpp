// SPDX-License-Identifier: Apache-2.0
#include "feature_map.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace espalier::plugins {
namespace {

struct LayerPair {
  std::int64_t student, teacher;
  bool operator==(const LayerPair&) const = default;
};

std::optional<std::int64_t> layer_of(std::string_view text) {
  std::int64_t layer = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), layer);
  if (error != std::errc() || end != text.data() + text.size() || layer < -1) return std::nullopt;
  return layer;
}

std::optional<LayerPair> parse(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) return std::nullopt;
  const auto student = layer_of(std::string_view(text).substr(0, colon)),
             teacher = layer_of(std::string_view(text).substr(colon + 1));
  if (!student || !teacher) return std::nullopt;
  return LayerPair{*student, *teacher};
}

LayerPair last_of(std::int64_t student, std::int64_t teacher) {
  const bool short_student = student < 3;
  if (short_student || teacher < 3) {
    throw RecipeError(concat("map = \"last\" takes the layer before the last two; got ",
                             short_student ? student : teacher, " layers in the ",
                             short_student ? "student" : "teacher", "; expected 3 or more, or map = \"explicit\""));
  }
  return {student - 3, teacher - 3};
}

}  // namespace

void FeatureMap::validate(OptionSource& source) const {
  if (map == "explicit" && pairs.empty()) {
    source.problem("pairs", "pairs are missing for map = \"explicit\"", "none", "a list such as [\"13:29\"]");
  }
  if (map != "explicit" && !pairs.empty()) {
    source.problem("pairs", "pairs belong to map = \"explicit\"", concat("map = ", to_text(Value{map})),
                   "map = \"explicit\" beside them");
  }
  std::vector<LayerPair> seen;
  for (const std::string& text : pairs) {
    const std::optional<LayerPair> pair = parse(text);
    if (!pair) {
      source.problem("pairs", "pairs have an entry that names no two layers", to_text(Value{text}),
                     "\"student:teacher\" from 0, or -1 for the embedding's output, as in \"13:29\"");
    } else if (std::find(seen.begin(), seen.end(), *pair) != seen.end()) {
      source.problem("pairs", "pairs have an entry twice", to_text(Value{text}), "each pair once");
    } else {
      seen.push_back(*pair);
    }
  }
}

std::vector<FeaturePair> FeatureMap::pairs_of(const ModelSpec& student, const ModelSpec& teacher) const {
  const auto ours = static_cast<std::int64_t>(student.layers.size()),
             theirs = static_cast<std::int64_t>(teacher.layers.size());
  std::vector<LayerPair> layers;
  if (embedding) layers.push_back({-1, -1});
  if (map == "last") layers.push_back(last_of(ours, theirs));
  for (std::int64_t layer = 0; map == "uniform" && layer < ours; ++layer) {
    // The end of the student's layer, as a share of the depth, rounded up to the end of a teacher's: last meets last.
    layers.push_back({layer, ((layer + 1) * theirs + ours - 1) / ours - 1});
  }
  for (const std::string& text : pairs) {
    const LayerPair pair = parse(text).value();
    if (std::find(layers.begin(), layers.end(), pair) == layers.end()) layers.push_back(pair);
  }
  std::vector<FeaturePair> result;
  for (const LayerPair& pair : layers) result.push_back({{pair.student, normed}, {pair.teacher, normed}});
  return result;
}

}  // namespace espalier::plugins
