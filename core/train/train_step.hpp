// SPDX-License-Identifier: Apache-2.0
// One update of the student after the other: the passes through both models, the sums over ranks, the optimizer.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/train/micro_batch.hpp"
#include "core/train/optimizer.hpp"
#include "core/train/replayed.hpp"
#include "core/train/side_stream.hpp"
#include "core/train/step_numbers.hpp"
#include "core/train/trainer.hpp"

namespace espalier {

// On a GPU the update (sums over ranks, AdamW, handing out weights) goes on beside the teacher's pass over the next
// step's first sequences, which knows nothing of the student; elsewhere one comes after the other, with the same bytes.
class TrainStep {
 public:
  explicit TrainStep(TrainJob& job);
  TrainStep(const TrainStep&) = delete;
  TrainStep& operator=(const TrainStep&) = delete;
  ~TrainStep();

  AdamW& optimizer() { return optimizer_; }
  std::vector<std::string> parameter_names() const;

  // Step `number`, from 0. `accept` is shown the values before the weights change, and may throw. `more`: a step comes
  // behind this one.
  StepValues run(std::int64_t number, double learning_rate, bool more,
                 const std::function<void(const StepValues&)>& accept);

 private:
  // What the losses need of the teacher for a micro-batch: rows for the head, one for each token, and hidden states.
  struct TeacherSays {
    CachedRows rows;
    Features features;
  };
  // This rank's sequences of a step, and what the teacher says of the first part.
  struct Sequences {
    std::int64_t step = -1;
    std::vector<MicroBatch> parts;
    TeacherSays of_first;
  };

  Sequences sequences_of(std::int64_t step);
  TeacherSays ask_teacher(const MicroBatch& part);
  TeacherSays teacher_pass(const at::Tensor& tokens);
  void learn(const MicroBatch& part, TeacherSays theirs, double scale);
  void student_pass(const MicroBatch& part, TeacherSays theirs, double scale);
  HeadOutput run_head(const at::Tensor& hidden, CachedRows teacher, const MicroBatch& part, double scale);
  void make_replayed();

  TrainJob& job_;
  const TrainPlan& plan_;
  Comm& comm_;
  at::Device device_;
  FeatureTerms features_;
  std::size_t head_;  // the parameter that is the output matrix
  AdamW optimizer_;
  StepNumbers numbers_;
  SideStream beside_;
  Sequences ahead_;
  bool needs_teacher_ = false;
  at::Tensor teacher_head_;
  HeadWorkspace workspace_;
  // With cuda_graph: the passes as functions of tensors. The student's is for micro-batches that are learnt whole,
  // which all have the same scale.
  std::optional<Replayed> replayed_teacher_, replayed_student_;
  TeacherSays pattern_;  // which tensors the teacher gives
  double whole_scale_;
};

}  // namespace espalier
