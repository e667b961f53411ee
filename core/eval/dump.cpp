// SPDX-License-Identifier: Apache-2.0
#include "core/eval/dump.hpp"

#include <ATen/ops/cat.h>

namespace espalier {
namespace {

TensorInfo entry(const char* name, std::int64_t rows, std::int64_t columns) {
  TensorInfo info;
  info.name = name;
  info.dtype = at::kFloat;
  info.shape = {rows, columns};
  return info;
}

}  // namespace

EvalDump::EvalDump(const fs::path& path, std::int64_t windows, std::int64_t predicted, std::int64_t vocab)
    : writer_(path, {entry("last_logits", windows, vocab), entry("nll", windows, predicted)}, {}) {}

void EvalDump::add(const at::Tensor& nll, const at::Tensor& last_logits) {
  const at::Tensor rows = last_logits.to(at::kCPU, at::kFloat).contiguous();
  writer_.write(rows.const_data_ptr(), static_cast<std::size_t>(rows.nbytes()));
  nll_.push_back(nll.to(at::kCPU, at::kFloat).contiguous());
}

void EvalDump::commit() {
  writer_.write(at::cat(nll_));
  writer_.commit();
}

}  // namespace espalier
