// SPDX-License-Identifier: Apache-2.0
// One trainer for [correct], a teacher's first training and [distill].
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "core/comm/comm.hpp"
#include "core/data/tokens.hpp"
#include "core/forward/model.hpp"
#include "core/train/feature_terms.hpp"
#include "core/train/kd_head.hpp"
#include "core/train/teacher_cache.hpp"
#include "espalier/sdk/scheduler.hpp"

namespace espalier {

struct TrainPlan {
  std::int64_t steps = 0, global_batch = 0, micro_batch = 0, seq_length = 0;
  std::int64_t horizon = 0;  // steps of the scheduler's whole course, when these are its first; 0: steps
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.1, clip_grad = 1.0;  // clip_grad 0: no clipping
  at::ScalarType moments = at::kFloat, gradients = at::kFloat;                        // of AdamW (optimizer.hpp)
  std::int64_t save_every = 0;                                                        // steps; 0: only at the end
  std::int64_t keep_last = 2;
  std::int64_t eval_every = 0;  // steps; 0: never
  std::int64_t log_every = 1;
  std::int64_t head_chunk = 0;  // rows of logits at a time; 0: from the vocabulary
  Recompute recompute = Recompute::none;
  bool cuda_graph = false;  // on a GPU: passes are recorded once, and then launched as a whole
  // L = L_logits + α · L_features with α = L_logits / L_features of each micro-batch, a number without a gradient
  // (Minitron, arXiv 2407.14679, section 3): both kinds move the student alike, whatever their units. The terms'
  // weights act inside the two sums. α is 0 where a sum is not above 0. Needs losses of both kinds.
  bool dynamic_balance = false;
  std::string label;  // for the progress bar: "correct", "distill"
};

struct TrainJob {
  // Every rank has the same job with models of its own. The micro-batches of a step are dealt out in order, the first
  // share to rank 0; rank 0 alone writes logs and evaluates. All see the same checkpoint folder.
  Comm* comm = &alone();
  Model* student = nullptr;         // trained in place
  WeightSource* teacher = nullptr;  // nullptr when no loss needs it
  // What the teacher says, computed before: then its layers are never run, and of `teacher` only the head is asked for,
  // and only where the cache holds hidden states. Has every window of the training. Not with losses on features.
  const TeacherCache* teacher_cache = nullptr;
  std::vector<WeightedLoss> losses;                 // on logits
  std::vector<WeightedFeatureLoss> feature_losses;  // on hidden states; they need a teacher
  std::unique_ptr<Scheduler> scheduler;
  TrainPlan plan;
  const TrainingStream* data = nullptr;
  fs::path checkpoints;                                           // folder of iter_0000200/ …
  fs::path metrics;                                               // metrics.jsonl
  fs::path events;                                                // folder of TensorBoard's events; empty: none
  std::function<double(Model&)> evaluate;                         // validation nll; may be empty
  std::function<void(const nlohmann::ordered_json&)> on_metrics;  // each line of metrics.jsonl; may be empty
  std::function<void(std::int64_t)> on_step;  // after each step, with the number of steps done; may be empty
};

struct TrainResult {
  std::int64_t steps = 0, tokens = 0;
  double seconds = 0.0;          // of all sessions of this run together
  double earlier_seconds = 0.0;  // of those before this one
};

// Trains from the newest whole checkpoint (or from the start) to the last step. A checkpoint is written every
// save_every steps, on a signal (then Interrupted is thrown) and at the end. Stopped anywhere and run again, the
// student ends with the same bytes, on the same number of ranks; on another number the sums of gradients and losses are
// taken in another order. A signal on any rank stops all after the same step. A loss or gradient that is not finite is
// an Error that names the last checkpoint.
TrainResult train(TrainJob& job);

}  // namespace espalier
