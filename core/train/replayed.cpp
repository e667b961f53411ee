// SPDX-License-Identifier: Apache-2.0
#include "core/train/replayed.hpp"

#include <algorithm>

#include <c10/util/Exception.h>

#include "core/base/log.hpp"

namespace espalier {
namespace {

constexpr int kPlainCalls = 2;

}  // namespace

Replayed::Tensors Replayed::operator()(const Tensors& inputs) {
  if (recording_ == nullptr && !failed_ && plain_calls_ >= kPlainCalls) record(inputs);
  if (recording_ == nullptr || !fits(inputs)) {
    ++plain_calls_;
    return function_(inputs);
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].is_same(inputs_[i])) inputs_[i].copy_(inputs[i], /*non_blocking=*/true);
  }
  recording_->play();
  return results_;
}

bool Replayed::fits(const Tensors& inputs) const {
  return inputs.size() == inputs_.size() &&
         std::equal(inputs.begin(), inputs.end(), inputs_.begin(), [](const at::Tensor& a, const at::Tensor& b) {
           return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type();
         });
}

void Replayed::record(const Tensors& inputs) {
  const DeviceKernels* kernels = kernels_of(inputs.front().device());
  failed_ = kernels == nullptr;
  if (failed_) return;
  inputs_.clear();
  for (const at::Tensor& input : inputs) inputs_.push_back(input.clone());
  try {
    recording_ = kernels->record(inputs.front().device(), [&] { results_ = function_(inputs_); });
  } catch (const std::exception& error) {
    spdlog::warn("cuda_graph: the passes cannot be recorded, and are launched one operation at a time; got {}",
                 error.what());
    failed_ = true;
    inputs_.clear(), results_.clear();
  }
}

}  // namespace espalier
