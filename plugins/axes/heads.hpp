// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "per_layer.hpp"

namespace espalier::plugins {

struct HeadsOptions : PerLayerOptions {
  std::string residual, residual_tensors;
  template <class V>
  void fields(V& v) {
    PerLayerOptions::fields(v);
    v("residual", residual, "none", one_of({"none", "kept_minus_pruned", "pruned_minus_kept"}),
      "adds to a kept head its difference from a pruned one of its group: as Minitron prints it, or with LaCo's sign");
    v("residual_tensors", residual_tensors, "both", one_of({"q_proj", "o_proj", "both"}),
      "where the residual goes: rows of q_proj, columns of o_proj");
  }
};

// Query heads, ranked inside their KV group; the same number is kept in each group, and all K and V stay.
class HeadsAxis final : public PerLayerAxis {
 public:
  using Options = HeadsOptions;
  explicit HeadsAxis(const Options& options) : PerLayerAxis(options), options_(options) {}
  AxisInfo describe() const override;
  std::int64_t step(const ModelSpec& spec) const override;  // lcm of the layers' KV groups and the granularity
  // The head residual (Minitron, arXiv 2407.14679, section 2.3): of a group's n heads in order of importance, counted
  // from 1, head i of the k kept ones becomes head_i + (head_i - head_{2k-i+1}), for i from 2k-n+1 to k. Needs k >=
  // n/2.
  std::vector<Fold> folds(const ModelSpec& spec, const Scores& scores, const Selection& selection) const override;

 protected:
  const char* name() const override { return "heads"; }
  std::int64_t units(const LayerSpec& layer) const override { return layer.attention ? layer.heads() : 0; }
  // The best of each group, then the second of each group, and so on.
  std::vector<std::int64_t> ranked(const LayerSpec& layer, const std::vector<double>& scores) const override;
  std::int64_t chunk_of(const LayerSpec& layer) const override;
  void check_size(const LayerSpec& layer, std::int64_t keep) const override;
  LayerSpec cut(const LayerSpec& layer, const std::vector<std::int64_t>& kept, const std::string& place) const override;

 private:
  Options options_;
};

}  // namespace espalier::plugins
