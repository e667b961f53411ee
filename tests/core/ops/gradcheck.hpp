// SPDX-License-Identifier: Apache-2.0
// Derivatives by central differences in float64.
#pragma once

#include <functional>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

namespace espalier::test {

using Differentiable = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

// Largest error of the gradient of Σ f(inputs)·g, with a fixed random g, relative to its largest element. All inputs
// are float64 and are differentiated.
inline double gradient_error(const Differentiable& f, std::vector<at::Tensor> inputs) {
  for (at::Tensor& input : inputs) input = input.detach().clone().set_requires_grad(true);
  const at::Tensor y = f(inputs);
  const at::Tensor g = at::randn(y.sizes(), y.options().requires_grad(false));
  const std::vector<at::Tensor> gradients = torch::autograd::grad({(y * g).sum()}, {inputs.begin(), inputs.end()});
  const at::NoGradGuard no_grad;
  double worst = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    at::Tensor numeric = at::zeros_like(inputs[i]).contiguous();
    at::Tensor flat = inputs[i].view(-1), out = numeric.view(-1);
    for (std::int64_t j = 0; j < flat.numel(); ++j) {
      const double middle = flat[j].item<double>(), h = 1e-5;
      flat[j].fill_(middle + h);
      const double above = (f(inputs) * g).sum().item<double>();
      flat[j].fill_(middle - h);
      const double below = (f(inputs) * g).sum().item<double>();
      flat[j].fill_(middle);
      out[j].fill_((above - below) / (2 * h));
    }
    const double scale = numeric.abs().max().item<double>() + 1e-9;
    worst = std::max(worst, (numeric - gradients[i]).abs().max().item<double>() / scale);
  }
  return worst;
}

inline double difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

}  // namespace espalier::test
