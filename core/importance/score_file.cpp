// SPDX-License-Identifier: Apache-2.0
#include "core/importance/score_file.hpp"

#include <ATen/ops/isfinite.h>

#include "core/base/error.hpp"
#include "core/checkpoint/safetensors.hpp"

namespace espalier {
namespace {

at::Tensor read_scores(const SafetensorsFile& file, const TensorInfo& info) {
  const std::string place = fmt::format("{}: tensor '{}'", file.path().string(), info.name);
  if (info.dtype != at::kFloat) fail("{}: wrong dtype; got {}; expected F32", place, dtype_name(info.dtype));
  if (info.shape.size() != 1) fail("{}: wrong number of dimensions; got {}; expected 1", place, info.shape.size());
  at::Tensor scores = file.tensor(info).clone();
  if (!at::isfinite(scores).all().item<bool>()) fail("{}: damaged; got a score that is not finite", place);
  return scores;
}

}  // namespace

std::map<std::string, std::string> score_metadata(const ScoreJob& job, const ScoreOptions& options) {
  std::map<std::string, std::string> metadata = {
      {"metric", job.metric}, {"plugin", job.plugin}, {"options", job.options}, {"seed", std::to_string(options.seed)}};
  if (needs_data(job)) {
    metadata["samples"] = std::to_string(options.samples);
    metadata["seq_length"] = std::to_string(options.seq_length);
  }
  if (scores_runs(job)) metadata["run"] = std::to_string(job.run);
  return metadata;
}

void save_scores(const fs::path& path, const ScoreFile& file) {
  std::map<std::string, std::string> metadata = file.metadata;
  metadata["axis"] = file.axis;
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (std::size_t layer = 0; layer < file.scores.per_layer.size(); ++layer) {
    const std::string name = file.shared ? file.axis : fmt::format("{}/{}", file.axis, layer);
    tensors.emplace_back(name, file.scores.per_layer[layer].to(at::kCPU, at::kFloat).contiguous());
  }
  save_tensors(path, tensors, metadata);
}

ScoreFile load_scores(const fs::path& path) {
  const SafetensorsFile file(path);
  ScoreFile result;
  result.metadata = file.metadata();
  const auto axis = result.metadata.find("axis");
  if (axis == result.metadata.end()) fail("{}: not a file of scores; got no 'axis' in its metadata", path.string());
  result.axis = axis->second;
  result.shared = file.find(result.axis) != nullptr;
  const std::size_t count = file.tensors().size();
  for (std::size_t layer = 0; layer < count; ++layer) {
    const std::string name = result.shared ? result.axis : fmt::format("{}/{}", result.axis, layer);
    const TensorInfo* info = file.find(name);
    if (info == nullptr || (result.shared && count != 1)) {
      fail("{}: unexpected set of tensors; got {} of them; expected '{}' or '{}/0' to '{}/{}'", path.string(), count,
           result.axis, result.axis, result.axis, count - 1);
    }
    result.scores.per_layer.push_back(read_scores(file, *info));
  }
  return result;
}

}  // namespace espalier
