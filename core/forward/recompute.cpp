// SPDX-License-Identifier: Apache-2.0
#include "core/forward/recompute.hpp"

#include <algorithm>

#include <ATen/core/ivalue.h>
#include <ATen/ops/sum.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/ops/fused.hpp"
#include "core/ops/ops.hpp"

namespace espalier {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A function that the graph owns. Autograd takes no undefined tensors: they are left out of its inputs, and f gets them
// back in their places.
struct Remade : torch::CustomClassHolder {
  std::function<at::Tensor(const Tensors&)> f;
  std::vector<bool> inputs, biases;  // which are defined
  at::Tensor operator()(const Tensors& defined) const {
    Tensors all(inputs.size());
    for (std::size_t i = 0, next = 0; i < inputs.size(); ++i) {
      if (inputs[i]) all[i] = defined[next++];
    }
    return f(all);
  }
};
using RemadePtr = c10::intrusive_ptr<Remade>;

const Remade& remade_of(AutogradContext* ctx) {
  return *c10::static_intrusive_pointer_cast<Remade>(ctx->saved_data["remade"].toCapsule());
}

Tensors defined_of(const Tensors& tensors, std::vector<bool>& which) {
  Tensors defined;
  for (const at::Tensor& tensor : tensors) {
    which.push_back(tensor.defined());
    if (tensor.defined()) defined.push_back(tensor);
  }
  return defined;
}

// Leaves of a graph of their own, that ask for a gradient where the originals did.
Tensors leaves_of(const Tensors& tensors) {
  Tensors leaves;
  for (const at::Tensor& tensor : tensors) {
    leaves.push_back(tensor.detach().requires_grad_(tensor.requires_grad()));
  }
  return leaves;
}

// Gradients of `leaves`, undefined where none is asked for, from that of what was made of them.
Tensors gradients_of(const at::Tensor& made, const at::Tensor& gradient, const Tensors& leaves) {
  Tensors asked, all(leaves.size());
  for (const at::Tensor& leaf : leaves) {
    if (leaf.requires_grad()) asked.push_back(leaf);
  }
  if (asked.empty()) return all;
  Tensors given = torch::autograd::grad({made}, asked, {gradient}, /*retain_graph=*/false, /*create_graph=*/false,
                                        /*allow_unused=*/true);
  for (std::size_t i = 0, next = 0; i < leaves.size(); ++i) {
    if (leaves[i].requires_grad()) all[i] = std::move(given[next++]);
  }
  return all;
}

class RecomputedFunction : public torch::autograd::Function<RecomputedFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const RemadePtr& remade, at::TensorList inputs) {
    ctx->save_for_backward(inputs.vec());
    ctx->saved_data["remade"] = at::IValue::make_capsule(remade);
    return (*remade)(inputs.vec());
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative();
    const Tensors leaves = leaves_of(ctx->get_saved_variables());
    at::Tensor made;
    {
      at::AutoGradMode grad_mode(true);
      made = remade_of(ctx)(leaves);
    }
    variable_list result{at::Tensor()};  // of the function
    for (at::Tensor& gradient : gradients_of(made, grads[0], leaves)) result.push_back(std::move(gradient));
    return result;
  }
};

class AffineOfRecomputed : public torch::autograd::Function<AffineOfRecomputed> {
 public:
  static variable_list forward(AutogradContext* ctx, const RemadePtr& remade, at::TensorList inputs,
                               at::TensorList weights, at::TensorList biases) {
    variable_list saved = inputs.vec();
    saved.insert(saved.end(), weights.begin(), weights.end());
    ctx->save_for_backward(std::move(saved));
    ctx->saved_data["remade"] = at::IValue::make_capsule(remade);
    ctx->saved_data["products"] = static_cast<std::int64_t>(weights.size());
    const at::Tensor made = (*remade)(inputs.vec());
    variable_list results;
    for (std::size_t i = 0, next = 0; i < weights.size(); ++i) {
      results.push_back(affine(made, weights[i], remade->biases[i] ? biases[next++] : at::Tensor()));
    }
    return results;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative();
    const variable_list saved = ctx->get_saved_variables();
    const auto products = static_cast<std::size_t>(ctx->saved_data["products"].toInt());
    const std::size_t inputs = saved.size() - products;
    const Tensors leaves = leaves_of({saved.begin(), saved.begin() + static_cast<std::ptrdiff_t>(inputs)});
    at::Tensor made;
    {
      at::AutoGradMode grad_mode(true);
      made = remade_of(ctx)(leaves);
    }
    const at::Tensor rows = made.detach().reshape({-1, made.size(-1)});
    // Variables are numbered: inputs, weights, biases. Gradients of `made` are added in the order in which autograd
    // would: the last product's first.
    const std::vector<bool>& has_bias = remade_of(ctx).biases;
    variable_list weights(products),
        biases(static_cast<std::size_t>(std::count(has_bias.begin(), has_bias.end(), true)));
    std::size_t bias = biases.size();
    at::Tensor gradient;
    for (std::size_t i = products; i-- > 0;) {
      if (has_bias[i]) --bias;
      const at::Tensor dy = grads[i].reshape({-1, grads[i].size(-1)}).contiguous(), &weight = saved[inputs + i];
      at::Tensor share = product(dy, weight);
      gradient = gradient.defined() ? gradient.add_(share) : share;
      if (ctx->needs_input_grad(inputs + i)) weights[i] = product(dy.t(), rows);
      if (has_bias[i] && ctx->needs_input_grad(inputs + products + bias)) biases[bias] = dy.sum(0);
    }
    variable_list result{at::Tensor()};  // of the function
    for (at::Tensor& of_input : gradients_of(made, gradient.view(made.sizes()), leaves))
      result.push_back(std::move(of_input));
    result.insert(result.end(), weights.begin(), weights.end());
    result.insert(result.end(), biases.begin(), biases.end());
    return result;
  }
};

}  // namespace

at::Tensor recomputed(std::function<at::Tensor(const Tensors&)> f, const Tensors& inputs) {
  RemadePtr remade = c10::make_intrusive<Remade>();
  remade->f = std::move(f);
  const Tensors defined = defined_of(inputs, remade->inputs);
  return RecomputedFunction::apply(remade, at::TensorList(defined));
}

Tensors affine_of_recomputed(std::function<at::Tensor(const Tensors&)> f, const Tensors& inputs, const Tensors& weights,
                             const Tensors& biases) {
  RemadePtr remade = c10::make_intrusive<Remade>();
  remade->f = std::move(f);
  const Tensors defined = defined_of(inputs, remade->inputs), added = defined_of(biases, remade->biases);
  return AffineOfRecomputed::apply(remade, at::TensorList(defined), at::TensorList(weights), at::TensorList(added));
}

}  // namespace espalier
