// SPDX-License-Identifier: Apache-2.0
// [[prune]] blocks made by hand, over the axes of the in-tree library.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/random.hpp"
#include "core/model/layer_axis.hpp"
#include "core/plugin/loader.hpp"
#include "core/prune/planner.hpp"
#include "core/run/run.hpp"

namespace espalier::test {

struct Cut {
  std::string axis;
  std::int64_t keep;
  std::map<std::string, Value> options = {};
};

// Owns what PruneStep points at. Scores are random unless `scored` is false.
class Cuts {
 public:
  Cuts(const ModelSpec& teacher, const std::vector<Cut>& cuts, bool scored = true) {
    static const std::unique_ptr<Registry> registry = [] {
      auto made = std::make_unique<Registry>();
      load_plugin(fs::path(ESPALIER_BINARY_DIR) / "plugins" / "libaxes.so", *made);
      return made;
    }();
    static const RunHost host(7);
    blocks_.resize(cuts.size());
    scores_.resize(cuts.size());
    for (std::size_t i = 0; i < cuts.size(); ++i) {
      auto component = std::make_shared<ComponentBlock>();
      component->kind = "axis";
      component->table = "prune";
      component->name = cuts[i].axis;
      for (const auto& [key, value] : cuts[i].options) component->options[key].value = value;
      blocks_[i].axis = component;
      blocks_[i].keep = cuts[i].keep;
      blocks_[i].keep_where = {"recipe.toml", static_cast<int>(i) + 1, 8};
      axes_.push_back(registry->axis(*component, host));
      scores_[i] = random_scores(teacher, axes_[i]->describe(), i);
      steps.push_back({axes_[i].get(), &blocks_[i], cuts[i].axis, scored ? &scores_[i] : nullptr});
    }
  }

  std::vector<PruneStep> steps;

 private:
  static Scores random_scores(const ModelSpec& teacher, const AxisInfo& info, std::uint64_t seed) {
    Scores scores;
    const std::size_t sites = info.shared ? 1 : teacher.layers.size();
    for (std::size_t layer = 0; layer < sites; ++layer) {
      const bool layers = info.dims.front() == Dim::layers;
      const std::int64_t units =
          layers ? static_cast<std::int64_t>(layers_with(teacher, info.part).size())
                 : extent_of(teacher, info.shared ? -1 : static_cast<std::int64_t>(layer), info.dims);
      at::Tensor values = at::empty({units}, at::kFloat);
      for (std::int64_t i = 0; i < units; ++i) {
        values[i] = uniform(mix(seed, layer), static_cast<std::uint64_t>(i));
      }
      scores.per_layer.push_back(values);
    }
    return scores;
  }

  std::vector<PruneBlock> blocks_;
  std::vector<Scores> scores_;
  std::vector<std::unique_ptr<PruningAxis>> axes_;
};

inline Plan plan_of(const ModelSpec& teacher, const std::vector<Cut>& cuts, bool scored = true) {
  const Cuts made(teacher, cuts, scored);
  Diagnostics diagnostics;
  Plan plan = make_plan(teacher, made.steps, diagnostics);
  diagnostics.throw_if_any();
  return plan;
}

}  // namespace espalier::test
