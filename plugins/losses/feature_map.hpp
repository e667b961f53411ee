// SPDX-License-Identifier: Apache-2.0
// Which layers of student and teacher a loss on features compares.
#pragma once

#include <string>
#include <vector>

#include "espalier/sdk/feature_loss.hpp"
#include "espalier/sdk/options.hpp"

namespace espalier::plugins {

struct FeatureMap {
  std::string map;
  std::vector<std::string> pairs;
  bool embedding, normed;

  template <class V>
  void fields(V& v) {
    v("map", map, "last", one_of({"last", "uniform", "explicit"}),
      "last (the layer before the last two of each, Minitron's), uniform (each layer of the student, and the teacher's "
      "layer at the same share of the depth), or explicit (pairs)");
    v("pairs", pairs, std::vector<std::string>{}, any(),
      "with map = \"explicit\": \"student:teacher\", 0-based; -1 is the embedding's output");
    v("embedding", embedding, false, any(), "the embedding's outputs are a pair, too");
    v("normed", normed, true, any(),
      "through the norm that comes next in the model; false: the residual stream itself");
  }
  void validate(OptionSource& source) const;

  // In ascending order of the map, the embedding first. Throws RecipeError when a model has too few layers for it.
  std::vector<FeaturePair> pairs_of(const ModelSpec& student, const ModelSpec& teacher) const;
};

}  // namespace espalier::plugins
