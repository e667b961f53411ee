// SPDX-License-Identifier: Apache-2.0
// LayerDrop's "every other" pruning: Angela Fan, Edouard Grave, Armand Joulin, "Reducing Transformer Depth on Demand
// with Structured Dropout", ICLR 2020 (2019), arXiv:1909.11556, section 3.2.2.
//
//   pruning with rate p drops the layers at a depth d with d = 0 (mod ⌊1/p⌋)
//
// That is evenly spaced, whatever the scores say. It drops the share p exactly where 1/p is a whole number; for the
// other rates this axis spaces the dropped layers as evenly as whole numbers allow: with r of L layers dropped, layer d
// goes when ⌊d r / L⌋ steps up, which for r = L/k is the paper's rule. The paper does not say where d begins; its
// authors' published command keeps the first, third, … layer, as counting from 1 does.
#include <espalier/sdk/sdk.hpp>

namespace {

struct EveryOtherOptions {
  std::int64_t count_from;
  template <class V>
  void fields(V& v) {
    v("count_from", count_from, 1, espalier::between(0, 1),
      "depth of the first layer; 1: the last can go, 0: the first");
  }
};

class EveryOther final : public espalier::PruningAxis {
 public:
  using Options = EveryOtherOptions;
  explicit EveryOther(const Options& options) : options_(options) {}

  espalier::AxisInfo describe() const override {
    return {.name = "every_other",
            .unit = "layer",
            .dims = {espalier::Dim::layers},
            .shared = true,
            .taps = {},
            .hugging_face_name = "num_hidden_layers",
            .megatron_name = "num_layers"};
  }

  std::int64_t extent(const espalier::ModelSpec& spec) const override {
    return static_cast<std::int64_t>(spec.layers.size());
  }
  std::int64_t step(const espalier::ModelSpec&) const override { return 1; }

  espalier::Selection select(const espalier::ModelSpec& spec, const espalier::Scores&,
                             std::int64_t keep) const override {
    const std::int64_t layers = extent(spec), dropped = layers - keep;
    if (keep < 1 || keep > layers) {
      throw espalier::RecipeError(espalier::concat("keep of axis 'every_other' is not possible; got ", keep,
                                                   "; expected a number from 1 to ", layers));
    }
    // Rounding up in place of down is the same spacing counted from the other end: the first layer goes, not the last.
    const std::int64_t round = options_.count_from == 1 ? 0 : layers - 1;
    std::vector<std::int64_t> kept;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      if ((layer * dropped + round) / layers == ((layer + 1) * dropped + round) / layers) kept.push_back(layer);
    }
    return {{kept}};
  }

  espalier::ModelSpec shrink(const espalier::ModelSpec& spec, const espalier::Selection& selection) const override {
    espalier::ModelSpec smaller = spec;
    smaller.layers.clear();
    for (const std::int64_t layer : selection.kept.at(0)) {
      smaller.layers.push_back(spec.layers.at(static_cast<std::size_t>(layer)));
    }
    return smaller;
  }

 private:
  Options options_;
};

}  // namespace

ESPALIER_PLUGIN("every_other", "0.1.0", registrar) {
  registrar.add<EveryOther>("every_other",
                            "whole decoder layers, evenly spaced whatever their scores (Fan et al. 2020)");
}
