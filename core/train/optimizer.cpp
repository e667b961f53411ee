// SPDX-License-Identifier: Apache-2.0
#include "core/train/optimizer.hpp"

#include <optional>

#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_zero.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include "core/base/error.hpp"

namespace espalier {
namespace {

// Views into one zeroed float32 buffer, shaped like `tensors`. Each starts on a 64-byte boundary, as tensors of their
// own would: vector code depends on it for speed, and a matrix library even for its rounding.
std::vector<at::Tensor> flat_views(const std::vector<at::Tensor>& tensors, at::Tensor& flat) {
  constexpr std::int64_t kAlignment = 16;  // floats
  const auto padded = [](std::int64_t count) { return (count + kAlignment - 1) / kAlignment * kAlignment; };
  std::int64_t total = 0;
  for (const at::Tensor& tensor : tensors) total += padded(tensor.numel());
  flat = at::zeros({total}, tensors.front().options().dtype(at::kFloat).requires_grad(false));
  std::vector<at::Tensor> views;
  std::int64_t begin = 0;
  for (const at::Tensor& tensor : tensors) {
    views.push_back(flat.narrow(0, begin, tensor.numel()).view(tensor.sizes()));
    begin += padded(tensor.numel());
  }
  return views;
}

}  // namespace

AdamW::AdamW(std::vector<at::Tensor> parameters, const AdamWOptions& options)
    : options_(options), parameters_(std::move(parameters)) {
  at::NoGradGuard no_grad;
  ESPALIER_CHECK(!parameters_.empty(), "nothing to train");
  gradients_ = flat_views(parameters_, flat_gradient_);
  at::Tensor flat;
  first_ = flat_views(parameters_, flat);
  second_ = flat_views(parameters_, flat);
  step_count_ = at::zeros({}, flat.options());
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& parameter = parameters_[i];
    const bool narrow = parameter.scalar_type() != at::kFloat;
    masters_ = masters_ || narrow;
    weights_.push_back(narrow ? parameter.detach().to(at::kFloat) : parameter.detach());
    if (!narrow) parameter.mutable_grad() = gradients_[i];
    (parameter.dim() >= 2 ? decayed_ : plain_).push_back(i);
  }
}

AdamW::~AdamW() {
  for (const at::Tensor& parameter : parameters_) parameter.mutable_grad() = at::Tensor();
}

void AdamW::collect() {
  if (!masters_) return;
  at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& passed = parameters_[i].mutable_grad();
    if (parameters_[i].scalar_type() == at::kFloat || !passed.defined()) continue;
    gradients_[i].add_(passed);
    passed = at::Tensor();
  }
}

void AdamW::zero_gradients() { flat_gradient_.zero_(); }

double AdamW::gradient_norm() const { return at::linalg_vector_norm(flat_gradient_).item<double>(); }

void AdamW::step(double learning_rate, double gradient_factor) {
  at::NoGradGuard no_grad;
  step_count_.fill_(static_cast<double>(++steps_));
  // The fused kernel divides gradients on its way, which makes clipping free.
  at::Tensor divisor;
  if (gradient_factor != 1.0) divisor = at::scalar_tensor(1.0 / gradient_factor, step_count_.options());
  update(decayed_, learning_rate, options_.weight_decay, divisor);
  update(plain_, learning_rate, 0.0, divisor);
  publish();
}

void AdamW::update(const std::vector<std::size_t>& group, double learning_rate, double weight_decay,
                   const at::Tensor& divisor) {
  if (group.empty()) return;
  std::vector<at::Tensor> weights, gradients, first, second;
  for (const std::size_t i : group) {
    weights.push_back(weights_[i]);
    gradients.push_back(gradients_[i]);
    first.push_back(first_[i]);
    second.push_back(second_[i]);
  }
  const std::vector<at::Tensor> counts(group.size(), step_count_);
  at::_fused_adamw_(weights, gradients, first, second, {}, counts, learning_rate, options_.beta1, options_.beta2,
                    weight_decay, options_.eps, /*amsgrad=*/false, /*maximize=*/false,
                    divisor.defined() ? std::optional<at::Tensor>(divisor) : std::nullopt);
}

void AdamW::restored(std::int64_t steps) {
  at::NoGradGuard no_grad;
  steps_ = steps;
  publish();
}

void AdamW::publish() {
  if (!masters_) return;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (parameters_[i].scalar_type() != at::kFloat) parameters_[i].detach().copy_(weights_[i]);
  }
}

}  // namespace espalier
