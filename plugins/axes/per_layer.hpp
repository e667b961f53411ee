// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "espalier/sdk/axis.hpp"
#include "ranking.hpp"

namespace espalier::plugins {

struct PerLayerOptions : AxisOptions {
  std::string ranking;
  bool unequal;
  template <class V>
  void fields(V& v) {
    AxisOptions::fields(v);
    v("ranking", ranking, "layer", one_of({"layer", "sum", "global"}),
      "units are compared inside each layer, by the sum of the layers' scores (one choice for all layers), or across "
      "all "
      "layers, which then differ in size");
    v("unequal", unequal, false, any(),
      "allows layers of different sizes, which only this program loads: not transformers, vLLM or llama.cpp");
  }
  void validate(OptionSource& source) const;
};

// An axis whose units each layer chooses for itself. A layer without any (an absent attention or MLP) keeps none.
class PerLayerAxis : public PruningAxis {
 public:
  // The smallest extent of the layers that have any: what every one of them can give. Where units are compared across
  // layers, the mean, rounded down: `keep` is then one, too.
  std::int64_t extent(const ModelSpec& spec) const final;
  Selection select(const ModelSpec& spec, const Scores& scores, std::int64_t keep) const final;
  ModelSpec shrink(const ModelSpec& spec, const Selection& selection) const final;

 protected:
  explicit PerLayerAxis(const PerLayerOptions& options) : per_layer_(options) {}
  std::int64_t granularity() const { return per_layer_.granularity; }
  virtual const char* name() const = 0;
  virtual std::int64_t units(const LayerSpec& layer) const = 0;
  // A layer's units by rank: the first `keep` of them, a multiple of `chunk_of`, are what it keeps.
  virtual std::vector<std::int64_t> ranked(const LayerSpec& layer, const std::vector<double>& scores) const;
  // A layer's kept units are a multiple of this.
  virtual std::int64_t chunk_of(const LayerSpec& layer) const;
  // Throws RecipeError when a layer cannot keep that many.
  virtual void check_size(const LayerSpec& layer, std::int64_t keep) const;
  virtual LayerSpec cut(const LayerSpec& layer, const std::vector<std::int64_t>& kept,
                        const std::string& place) const = 0;

 private:
  using Numbers = std::vector<std::vector<double>>;
  Numbers summed(const ModelSpec& spec, Numbers numbers) const;
  std::vector<std::int64_t> counts_across_layers(const ModelSpec& spec, const Numbers& numbers,
                                                 std::int64_t keep) const;
  PerLayerOptions per_layer_;
};

}  // namespace espalier::plugins
