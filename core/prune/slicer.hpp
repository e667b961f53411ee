// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/checkpoint/checkpoint.hpp"
#include "core/prune/folds.hpp"
#include "core/prune/plan.hpp"

namespace espalier {

// What the plan leaves of one tensor, block of rows by block of rows, in order. Generic over named dimensions: the same
// code for every family and every axis. Resident memory is one block (about 8 MB) whatever the tensor's size; where
// units are folded, smaller blocks and the rows that go into them.
class TensorSlice {
 public:
  TensorSlice(const Checkpoint& teacher, const Plan& plan, const Parameter& student);
  std::int64_t blocks() const;
  // Stored dtype; row blocks, concatenated they are the student's tensor. On `device` columns are picked there.
  at::Tensor block(std::int64_t index, at::Device device = at::kCPU) const;
  std::int64_t first_row(std::int64_t index) const { return index * rows_per_block_; }
  const Parameter& source() const { return source_; }

 private:
  const Checkpoint& teacher_;
  Parameter source_;
  FoldedTensor folded_;
  std::optional<Indices> rows_, columns_;
  std::int64_t row_count_ = 0, rows_per_block_ = 1;
};

// Streams the student into `writer` from the memory-mapped teacher. `on_bytes` hears of progress.
void slice(const Checkpoint& teacher, const Plan& plan, CheckpointWriter& writer,
           const std::function<void(std::int64_t)>& on_bytes = {});

}  // namespace espalier
