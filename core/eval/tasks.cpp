// SPDX-License-Identifier: Apache-2.0
#include "core/eval/tasks.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/index_select.h>
#include <nlohmann/json.hpp>

#include "core/base/digest.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/progress.hpp"
#include "core/forward/walk.hpp"

namespace espalier {

std::size_t end_of_tile(const WeightSource& weights, const ChoiceTask& task, const TaskBatches& batches,
                        std::size_t first, std::int64_t tile_bytes) {
  if (dynamic_cast<const Model*>(&weights) != nullptr) return first + 1;
  const auto element = static_cast<std::int64_t>(c10::elementSize(weights.compute().dtype));
  std::int64_t bytes = 0;
  std::size_t last = first;
  while (last < batches.size()) {
    const auto [row, count] = batches[last];
    bytes += static_cast<std::int64_t>(count) * task.row_length(row) * weights.spec().hidden * element;
    if (last > first && bytes > tile_bytes) break;
    ++last;
  }
  return last;
}

void add_log_probabilities(const Weights& outer, const at::Tensor& hidden, const TaskBatch& batch,
                           std::vector<double>& sums) {
  const at::Device device = hidden.device();
  const at::Tensor rows = at::index_select(hidden.reshape({-1, hidden.size(2)}), 0, batch.positions.to(device));
  const at::Tensor nll = label_nll(outer, rows, batch.labels.to(device)).to(at::kCPU, at::kDouble).contiguous();
  const double* loss = nll.const_data_ptr<double>();
  for (std::size_t i = 0; i < batch.choices.size(); ++i) sums[batch.choices[i]] -= loss[i];
}

std::vector<double> log_probabilities(WeightSource& weights, const ChoiceTask& task, std::int64_t tile_bytes) {
  const at::NoGradGuard no_grad;
  const ModelSpec& spec = weights.spec();
  const TaskBatches batches = task.batches(kTaskBatchTokens);
  std::vector<double> sums(task.choices());
  ProgressBar progress("task " + task.source().name, static_cast<std::int64_t>(batches.size()));
  for (std::size_t first = 0; first < batches.size();) {
    const std::size_t last = end_of_tile(weights, task, batches, first, tile_bytes);
    std::vector<TaskBatch> tile;
    std::vector<at::Tensor> tokens;
    for (std::size_t b = first; b < last; ++b) {
      tile.push_back(task.batch(batches[b].first, batches[b].second));
      tokens.push_back(tile.back().tokens.to(weights.compute().device));
    }
    std::vector<at::Tensor> states = walk(weights, tokens, nullptr, [](std::int64_t) { throw_if_interrupted(); });
    const Weights outer = weights.outer();
    for (std::size_t b = 0; b < tile.size(); ++b) {
      add_log_probabilities(outer, final_norm(spec, outer, states[b], nullptr), tile[b], sums);
      states[b].reset();
    }
    first = last;
    progress.update(static_cast<std::int64_t>(first));
  }
  return sums;
}

std::optional<double> TaskResult::stderr_of(double accuracy) const {
  if (items < 2) return std::nullopt;
  return std::sqrt(accuracy * (1.0 - accuracy) / static_cast<double>(items - 1));
}

TaskResult evaluate_task(WeightSource& weights, const ChoiceTask& task) {
  const std::vector<double> scores = log_probabilities(weights, task);
  return {task.items(), task.right(scores, false), task.right(scores, true)};
}

nlohmann::json task_to_json(const TaskResult& result, const ChoiceTask& task, const Tokenizer& tokenizer,
                            const ModelSpec& spec) {
  const auto error_of = [&](double accuracy) {
    const std::optional<double> error = result.stderr_of(accuracy);
    return error ? nlohmann::json(*error) : nlohmann::json(nullptr);
  };
  const TaskSource& source = task.source();
  nlohmann::json json = {{"accuracy", result.accuracy()},
                         {"accuracy_stderr", error_of(result.accuracy())},
                         {"accuracy_norm", result.accuracy_norm()},
                         {"accuracy_norm_stderr", error_of(result.accuracy_norm())},
                         {"items", result.items},
                         {"shots", source.shots}};
  json["protocol"] = {
      {"file_digest", digest_of_file(source.file)},
      {"score", "log-probability of the completion, summed over its tokens; ties go to the first choice"},
      {"norm", "the same divided by the completion's bytes, as the file has it"},
      {"boundary",
       "the tokens of prompt and completion after as many as the prompt has alone; white space that ends a prompt goes "
       "to the completion; an empty prompt is the end-of-document token"},
      {"truncated_choices", task.truncated()},
      {"truncated", fmt::format("from the left, to {} positions", spec.max_positions)},
      {"tokenizer", tokenizer.name},
      {"tokenizer_digest", tokenizer.digest}};
  if (source.shots > 0) {
    json["protocol"]["shots"] = fmt::format(
        "drawn for each item by seed {} from the other items of the file, a blank line behind each", source.seed);
  }
  return json;
}

}  // namespace espalier
