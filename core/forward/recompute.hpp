// SPDX-License-Identifier: Apache-2.0
// Less memory for the backward pass: what is cheap to make again is made again instead of kept. The numbers, to the
// last bit, are those of a pass that keeps everything.
#pragma once

#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

namespace espalier {

// What a training pass makes again in its backward half.
//   cheap: outputs of norms and of the MLP's activation, which are read by one product and cost next to nothing
//   layers: whole layers; only their inputs are kept, and the forward pass runs a second time
enum class Recompute { none, cheap, layers };

using Tensors = std::vector<at::Tensor>;

// f(inputs), of which nothing but the inputs is kept: f runs again in the backward pass. Undefined inputs are passed
// on. f must give the same result each time, and lives as long as the graph.
at::Tensor recomputed(std::function<at::Tensor(const Tensors&)> f, const Tensors& inputs);

// affine(f(inputs), weight, bias) for each pair, where f(inputs) is made again in the backward pass. Undefined biases
// stand for none.
Tensors affine_of_recomputed(std::function<at::Tensor(const Tensors&)> f, const Tensors& inputs, const Tensors& weights,
                             const Tensors& biases);

}  // namespace espalier
