// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <utility>

#include "core/base/interrupt.hpp"
#include "core/base/progress.hpp"
#include "core/eval/tasks.hpp"
#include "core/importance/passes.hpp"
#include "core/importance/skips.hpp"

namespace espalier {
namespace {

// Log-probabilities of a task's choices for the whole model ([0]) and for every variant.
using ChoiceSums = std::vector<std::vector<double>>;

ChoiceSums try_task(WeightSource& weights, const ChoiceTask& task, const std::vector<Skip>& skips,
                    const ScoreOptions& options) {
  const ModelSpec& spec = weights.spec();
  const std::size_t variants = skips.size() + 1;
  const TaskBatches batches = task.batches(kTaskBatchTokens);
  const std::int64_t tile_bytes = options.tile_bytes / static_cast<std::int64_t>(variants);
  ChoiceSums sums(variants, std::vector<double>(task.choices()));
  SkippingWalk walk(weights, skips);
  ProgressBar progress("task " + task.source().name, static_cast<std::int64_t>(batches.size()));
  for (std::size_t first = 0; first < batches.size();) {
    const std::size_t last = end_of_tile(weights, task, batches, first, tile_bytes);
    std::vector<TaskBatch> tile;
    std::vector<at::Tensor> tokens;
    for (std::size_t b = first; b < last; ++b) {
      tile.push_back(task.batch(batches[b].first, batches[b].second));
      tokens.push_back(tile.back().tokens.to(weights.compute().device));
    }
    SkippingWalk::States states = walk.run(tokens, throw_if_interrupted);
    const Weights outer = weights.outer();
    for (std::size_t variant = 0; variant < variants; ++variant) {
      for (std::size_t b = 0; b < tile.size(); ++b) {
        at::Tensor& state = states[variant][b];
        add_log_probabilities(outer, final_norm(spec, outer, state, nullptr), tile[b], sums[variant]);
        state.reset();
      }
    }
    first = last;
    progress.update(static_cast<std::int64_t>(first));
  }
  return sums;
}

void show_accuracies(const ModelSpec& spec, Sites& sites, const std::vector<Skip>& skips, const ChoiceTask& task,
                     const ChoiceSums& sums) {
  const auto accuracy = [&](std::size_t variant) {
    return static_cast<double>(task.right(sums[variant], sites.needs().task.length_normalised)) /
           static_cast<double>(task.items());
  };
  const double base = accuracy(0);
  for (std::int64_t unit = 0; unit < sites.units(-1); ++unit) {
    const Skip skip = skip_of(spec, sites, unit);
    const auto variant = static_cast<std::size_t>(std::find(skips.begin(), skips.end(), skip) - skips.begin()) + 1;
    sites.at(-1, 0, 1).observe({.layer = skip.layers.front(),
                                .unit = unit,
                                .input = kNoTensor,
                                .output = kNoTensor,
                                .gradient = kNoTensor,
                                .readers = kNoTensor,
                                .accuracy = accuracy(variant),
                                .base_accuracy = base});
  }
}

}  // namespace

void observe_tasks(WeightSource& weights, const std::vector<Sites*>& sites, const ScoreOptions& options) {
  const ModelSpec& spec = weights.spec();
  std::map<std::pair<std::string, std::int64_t>, std::vector<Sites*>> by_task;  // sites that share a walk
  for (Sites* one : sites) by_task[{one->needs().task.file, one->needs().task.shots}].push_back(one);
  const Tokenizer tokenizer = open_tokenizer(options.tokenizer);
  for (const auto& [which, asking] : by_task) {
    const fs::path file = which.first;
    const ChoiceTask task({file.filename().string(), file, which.second, options.seed}, tokenizer, spec);
    const std::vector<Skip> skips = skips_of(spec, asking);
    const ChoiceSums sums = try_task(weights, task, skips, options);
    for (Sites* one : asking) show_accuracies(spec, *one, skips, task, sums);
  }
}

}  // namespace espalier
