// SPDX-License-Identifier: Apache-2.0
#include "core/train/step_numbers.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ops/dot.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>

namespace espalier {
namespace {

enum Beside : std::int64_t { kTotal, kAlpha, kSquares, kSignals, kBeside };  // places behind the losses

at::Tensor weights_of(const std::vector<double>& numbers, std::size_t before, std::size_t after, at::Device device) {
  std::vector<double> all(before, 0.0);
  all.insert(all.end(), numbers.begin(), numbers.end());
  all.insert(all.end(), after, 0.0);
  return at::tensor(all, at::TensorOptions(at::kDouble)).to(device);
}

}  // namespace

StepNumbers::StepNumbers(const std::vector<double>& on_logits, const std::vector<double>& on_features,
                         at::Device device)
    : on_logits_(weights_of(on_logits, 0, on_features.size(), device)),
      on_features_(weights_of(on_features, on_logits.size(), 0, device)),
      sums_(at::zeros({on_logits_.numel() + kBeside}, on_logits_.options())) {}

void StepNumbers::start() { sums_.zero_(); }

void StepNumbers::add(const at::Tensor& losses, double alpha, double share) {
  const std::int64_t count = on_logits_.numel();
  sums_.narrow(0, 0, count).add_(losses);
  sums_[count + kTotal].add_(at::dot(losses, on_logits_ + alpha * on_features_));
  sums_[count + kAlpha].add_(alpha * share);
}

double StepNumbers::balance(const at::Tensor& losses) const {
  const double logits = at::dot(losses, on_logits_).item<double>();
  const double features = at::dot(losses, on_features_).item<double>();
  return logits > 0.0 && features > 0.0 ? logits / features : 0.0;
}

void StepNumbers::add_up(const at::Tensor& squares, bool interrupted, Comm& comm) {
  const std::int64_t count = on_logits_.numel();
  sums_[count + kSquares].copy_(squares);
  if (interrupted) sums_[count + kSignals].fill_(1.0);
  if (!comm.alone()) comm.all_reduce(sums_);
}

StepValues StepNumbers::read() const {
  const at::Tensor sums = sums_.cpu();
  const double* numbers = sums.const_data_ptr<double>();
  const double* beside = numbers + on_logits_.numel();
  StepValues values;
  values.losses.assign(numbers, beside);
  values.total = beside[kTotal];
  values.alpha = beside[kAlpha];
  values.gradient_norm = std::sqrt(beside[kSquares]);
  values.interrupted = beside[kSignals] > 0.0;
  return values;
}

}  // namespace espalier
