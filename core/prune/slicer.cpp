// SPDX-License-Identifier: Apache-2.0
#include "core/prune/slicer.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cstdint>
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

// Elements of `Word`'s size, whatever they are.
template <class Word>
void copy_kept(const at::Tensor& from, const Indices& rows, const Indices& columns, at::Tensor& to) {
  const auto* source = static_cast<const Word*>(from.const_data_ptr());
  auto* target = static_cast<Word*>(to.mutable_data_ptr());
  const std::int64_t width = from.size(1), kept = to.size(1);
  constexpr std::int64_t kGrain = 1 << 15;  // elements: below that a second thread costs more than it brings
  at::parallel_for(0, to.size(0), std::max<std::int64_t>(1, kGrain / kept), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const Word* in = source + rows[static_cast<std::size_t>(row)] * width;
      Word* out = target + row * kept;
      for (std::size_t column = 0; column < columns.size(); ++column) out[column] = in[columns[column]];
    }
  });
}

// Rows and columns of a matrix at once, each row read once and in order; index_select copies element by element.
at::Tensor gather(const at::Tensor& matrix, const Indices& rows, const Indices& columns) {
  at::Tensor kept =
      at::empty({static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(columns.size())}, matrix.options());
  switch (matrix.element_size()) {
    case 2:
      copy_kept<std::uint16_t>(matrix, rows, columns, kept);
      return kept;
    case 4:
      copy_kept<std::uint32_t>(matrix, rows, columns, kept);
      return kept;
    default:
      return matrix.index_select(0, at::tensor(rows, at::kLong)).index_select(1, at::tensor(columns, at::kLong));
  }
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
  const at::Tensor tensor = teacher_.tensor(source_);
  Indices positions(static_cast<std::size_t>(count));
  std::iota(positions.begin(), positions.end(), first);
  if (rows_) positions.assign(rows_->begin() + first, rows_->begin() + first + count);
  if (folded_.changed()) {
    const at::Tensor rows = folded_.rows(tensor, positions).to(device);
    return (columns_ ? gather(rows, 1, *columns_) : rows).to(tensor.scalar_type());
  }
  if (columns_ && !is_run(*columns_) && device.is_cpu()) return gather(tensor, positions, *columns_);
  // To a device go whole rows, which are quick to copy; it picks the columns.
  const at::Tensor rows = gather(tensor, 0, positions).to(device);
  return columns_ ? gather(rows, 1, *columns_) : rows;
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
