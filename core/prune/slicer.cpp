// SPDX-License-Identifier: Apache-2.0
#include "core/prune/slicer.hpp"

#include <ATen/ATen.h>

#include <numeric>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/ops/statistics.hpp"

namespace espalier {

namespace {

constexpr std::int64_t kBlockBytes = std::int64_t{8} << 20;
constexpr std::int64_t kFoldedBlockBytes = kBlockBytes / 4;  // float32, and the rows that are folded in beside them

bool is_run(const Indices& indices) {
  return indices.back() - indices.front() + 1 == static_cast<std::int64_t>(indices.size());
}

at::Tensor gather(const at::Tensor& tensor, std::int64_t dim, const Indices& indices) {
  if (is_run(indices)) return tensor.narrow(dim, indices.front(), static_cast<std::int64_t>(indices.size()));
  return gathered(tensor, dim, at::tensor(indices, at::kLong).to(tensor.device()));
}

}  // namespace

TensorSlice::TensorSlice(const Checkpoint& teacher, const Plan& plan, const Parameter& student)
    : teacher_(teacher), source_(source_of(plan, student)), folded_(plan, source_) {
  ESPALIER_CHECK(student.dims.size() <= 2, student.name);
  rows_ = kept_positions(plan, source_.layer, source_.dims[0]);
  if (source_.dims.size() == 2) columns_ = kept_positions(plan, source_.layer, source_.dims[1]);
  row_count_ = student.shape[0];
  const std::int64_t row_bytes = std::max<std::int64_t>(1, source_.elements() / source_.shape[0]) * 4;
  rows_per_block_ = std::max<std::int64_t>(1, (folded_.changed() ? kFoldedBlockBytes : kBlockBytes) / row_bytes);
}

std::int64_t TensorSlice::blocks() const { return (row_count_ + rows_per_block_ - 1) / rows_per_block_; }

at::Tensor TensorSlice::block(std::int64_t index, at::Device device) const {
  const std::int64_t first = first_row(index);
  const std::int64_t count = std::min(rows_per_block_, row_count_ - first);
  at::Tensor tensor = teacher_.tensor(source_);
  if (folded_.changed()) {
    Indices positions(static_cast<std::size_t>(count));
    std::iota(positions.begin(), positions.end(), first);
    if (rows_) positions.assign(rows_->begin() + first, rows_->begin() + first + count);
    const at::Tensor rows = folded_.rows(tensor, positions).to(device);
    return (columns_ ? gather(rows, 1, *columns_) : rows).to(tensor.scalar_type());
  }
  if (rows_) {
    tensor = gather(tensor, 0, Indices(rows_->begin() + first, rows_->begin() + first + count));
  } else {
    tensor = tensor.narrow(0, first, count);
  }
  // Whole rows are quick to copy; to pick columns is the slow half, for a CPU.
  tensor = tensor.to(device);
  return columns_ ? gather(tensor, 1, *columns_) : tensor;
}

void slice(const Checkpoint& teacher, const Plan& plan, CheckpointWriter& writer,
           const std::function<void(std::int64_t)>& on_bytes) {
  at::NoGradGuard no_grad;
  std::int64_t written = 0;
  for (const Parameter& parameter : writer.parameters()) {
    const TensorSlice tensor(teacher, plan, parameter);
    for (std::int64_t i = 0; i < tensor.blocks(); ++i) {
      throw_if_interrupted();
      const at::Tensor block = tensor.block(i);
      writer.write(block);
      written += static_cast<std::int64_t>(block.nbytes());
      teacher.forget(tensor.source());
      if (on_bytes) on_bytes(written);
    }
  }
}

}  // namespace espalier
