// SPDX-License-Identifier: Apache-2.0
// Gradients by autograd and by finite differences.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <string>
#include <utility>
#include <vector>

#include "espalier/testkit/checklist.hpp"

namespace espalier::testkit {

// How finely a function can be differentiated: float64 all the way, or, for one that works in float32 whatever it is
// given, with steps and an allowance to match (central differences err by the square of the step; float32 by 1e-7 of
// the value, divided by the step).
struct Precision {
  at::ScalarType dtype;
  double step, tolerance;
};
inline constexpr Precision kFine{at::kDouble, 1e-5, 1e-6};
inline constexpr Precision kCoarse{at::kFloat, 1e-2, 5e-3};

// f(dtype) gives a value that is computed from inputs of that dtype.
template <class F>
Precision precision_of(F&& f) {
  try {
    return f(at::kDouble).scalar_type() == at::kDouble ? kFine : kCoarse;
  } catch (const std::exception&) {
    return kCoarse;  // the contract speaks of float32 only
  }
}

// d f / d x, f() reads `x` and returns a scalar. Changes `x` meanwhile.
template <class F>
at::Tensor finite_differences(at::Tensor x, double step, F&& f) {
  const at::NoGradGuard no_grad;
  at::Tensor gradient = at::zeros_like(x, at::TensorOptions(at::kDouble));
  at::Tensor flat = x.view(-1), out = gradient.view(-1);
  for (std::int64_t i = 0; i < flat.numel(); ++i) {
    const double here = flat[i].item<double>();
    const auto value_at = [&](double moved) {
      flat.select(0, i).fill_(moved);
      return f().template item<double>();
    };
    const double above = value_at(here + step), below = value_at(here - step);
    flat.select(0, i).fill_(here);
    out.select(0, i).fill_((above - below) / (2.0 * step));
  }
  return gradient;
}

// d f / d inputs by autograd; an input that f does not use has zeros.
template <class F>
std::vector<at::Tensor> autograd(const Trial& trial, const std::vector<at::Tensor>& inputs, F&& f) {
  const at::AutoGradMode grad(true);
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& input : inputs) input.detach_().requires_grad_(true).mutable_grad() = at::Tensor();
  const at::Tensor value = f();
  trial.expect(value.requires_grad(), "forward() is not differentiable; expected a loss that autograd can follow");
  value.backward();
  for (const at::Tensor& input : inputs) {
    gradients.push_back(input.grad().defined() ? input.grad().clone() : at::zeros_like(input));
    input.mutable_grad() = at::Tensor();
    input.requires_grad_(false);
  }
  return gradients;
}

// Numbers that weigh the rows, so that a loss which mixes rows shows.
inline at::Tensor row_weights(const at::Tensor& losses) {
  return at::arange(1, losses.numel() + 1, losses.options().requires_grad(false)) / static_cast<double>(losses.numel());
}

}  // namespace espalier::testkit
