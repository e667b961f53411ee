// SPDX-License-Identifier: Apache-2.0
// How often a model gives the right choice the largest probability.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "core/eval/choice_task.hpp"
#include "core/forward/model.hpp"

namespace espalier {

// Tokens of a forward pass, about.
inline constexpr std::int64_t kTaskBatchTokens = 4096;

// Adds what a batch says to the log-probability of each choice (nats, in float64): the sum over its scored tokens of
// log p(token | all before it). `hidden` (R, T, H) is the batch behind the final norm. Causal attention keeps what a
// row is filled up with, on its right, out of its own states. `sums` has one element for each choice of the task.
void add_log_probabilities(const Weights& outer, const at::Tensor& hidden, const TaskBatch& batch,
                           std::vector<double>& sums);

// The batch behind the last one of a walk that begins with batch `first`: as many as have hidden states of about
// `tile_bytes`. Resident weights cost nothing to fetch again, so there it is one.
std::size_t end_of_tile(const WeightSource& weights, const ChoiceTask& task, const TaskBatches& batches,
                        std::size_t first, std::int64_t tile_bytes);

// Of every choice, by the whole model. `tile_bytes`: streamed weights only, hidden states that may exist at a time.
std::vector<double> log_probabilities(WeightSource& weights, const ChoiceTask& task,
                                      std::int64_t tile_bytes = std::int64_t{1} << 30);

// Shares of right choices.
struct TaskResult {
  std::int64_t items = 0, right = 0, right_normalised = 0;
  double accuracy() const { return share(right); }
  double accuracy_norm() const { return share(right_normalised); }  // log-probability per byte of the completion
  // sqrt(p (1 - p) / (n - 1)); none for a single item.
  std::optional<double> stderr_of(double accuracy) const;

 private:
  double share(std::int64_t count) const { return static_cast<double>(count) / static_cast<double>(items); }
};

TaskResult evaluate_task(WeightSource& weights, const ChoiceTask& task);

// An entry of eval.json's "tasks": the numbers with their protocol beside them.
nlohmann::json task_to_json(const TaskResult& result, const ChoiceTask& task, const Tokenizer& tokenizer,
                            const ModelSpec& spec);

}  // namespace espalier
