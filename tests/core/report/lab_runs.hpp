// SPDX-License-Identifier: Apache-2.0
// Run directories made by hand: a plan over two layers, and files of scores.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "core/importance/score_file.hpp"
#include "core/prune/plan_json.hpp"
#include "core/report/lab_files.hpp"
#include "tests/support/temporary_folder.hpp"

namespace espalier::test {

using Layers = std::vector<std::vector<float>>;
using Metadata = std::map<std::string, std::string>;

inline ModelSpec spec_of(std::int64_t layers, std::int64_t ffn) {
  ModelSpec spec;
  spec.family = "llama", spec.hidden = 8, spec.vocab = 31, spec.max_positions = 64;
  LayerSpec layer;
  layer.kv_groups = 1, layer.heads_per_group = 2, layer.head_dim = 4, layer.ffn = ffn;
  spec.layers.assign(static_cast<std::size_t>(layers), layer);
  return spec;
}

// Where a file's scores come from; an empty `samples`: from no data.
inline Metadata origin(const std::string& metric, const std::string& options, const std::string& samples,
                       const std::string& seed) {
  Metadata metadata = {{"metric", metric}, {"options", options}, {"seed", seed}, {"teacher_digest", "t1"}};
  if (!samples.empty())
    metadata["samples"] = samples, metadata["seq_length"] = "32", metadata["calibration_digest"] = "c1";
  return metadata;
}

class LabFolder {
 public:
  LabRun run(const std::string& name) {
    runs_.push_back({name, folder_.path() / name});
    fs::create_directories(runs_.back().folder / "scores");
    return runs_.back();
  }
  // A tensor for each layer, or one for the model.
  static void scores(const LabRun& run, const std::string& axis, const Layers& layers, const Metadata& metadata,
                     bool shared = false, const std::string& suffix = "") {
    ScoreFile file{axis, shared, {}, metadata};
    for (const std::vector<float>& layer : layers) file.scores.per_layer.push_back(at::tensor(layer));
    save_scores(run.folder / "scores" / (axis + suffix + ".safetensors"), file);
  }
  // Axis ffn: the kept of `units` neurons in each of two layers.
  static void plan(const LabRun& run, const std::vector<Indices>& kept, std::int64_t units = 4) {
    Plan plan;
    plan.scored = true;
    plan.teacher = spec_of(2, units), plan.student = spec_of(2, static_cast<std::int64_t>(kept[0].size()));
    plan.layer_of = {0, 1};
    AxisSelection selection;
    selection.info.name = "ffn", selection.info.unit = "neuron", selection.info.dims = {Dim::ffn};
    selection.kept.kept = kept;
    selection.keep = static_cast<std::int64_t>(kept[0].size()), selection.extent = units;
    plan.selections = {selection};
    write_json(run.folder / "plan.json", plan_to_json(plan, 4, 16));
  }
  const std::vector<LabRun>& runs() const { return runs_; }

 private:
  TemporaryFolder folder_;
  std::vector<LabRun> runs_;
};

}  // namespace espalier::test
