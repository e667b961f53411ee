// SPDX-License-Identifier: Apache-2.0
#include "core/forward/model.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <optional>

#include "core/base/error.hpp"
#include "core/base/random.hpp"

namespace espalier {

namespace {

bool is_norm(Role role) {
  return role == Role::attn_norm || role == Role::mlp_norm || role == Role::final_norm || role == Role::q_norm ||
         role == Role::k_norm;
}

// One tensor of a random model: a function of (spec, seed, tensor, element), whatever the number of threads.
at::Tensor random_tensor(const ModelSpec& spec, const Parameter& parameter, std::uint64_t stream) {
  at::Tensor tensor = at::zeros(parameter.shape, at::kFloat);
  if (is_norm(parameter.role))
    return spec.norm == Norm::layernorm_1p ? tensor : tensor.fill_(1.0);  // 1p adds the one itself
  if (parameter.shape.size() < 2) return tensor;                          // biases
  // As a head, the embedding needs the scale of a head: logits of a standard deviation of 1.
  const bool unit = parameter.role == Role::embed && !spec.tied;
  const double deviation = unit ? 1.0 : 1.0 / std::sqrt(static_cast<double>(parameter.shape.back()));
  float* data = tensor.data_ptr<float>();
  at::parallel_for(0, tensor.numel(), 1 << 14, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      data[i] = static_cast<float>(deviation * normal(stream, static_cast<std::uint64_t>(i)));
  });
  return tensor;
}

}  // namespace

void tie(const ModelSpec& spec, Weights& outer) {
  if (spec.tied) outer[Role::head] = outer[Role::embed];
}

StreamedWeights::StreamedWeights(const Checkpoint& checkpoint, Compute compute)
    : checkpoint_(checkpoint), compute_(compute) {}
const ModelSpec& StreamedWeights::spec() const { return checkpoint_.spec(); }
Compute StreamedWeights::compute() const { return compute_; }

Weights StreamedWeights::outer() {
  Weights weights = layer(-1);
  tie(spec(), weights);
  return weights;
}

Weights StreamedWeights::layer(std::int64_t layer) {
  Weights weights;
  for (const Parameter& parameter : checkpoint_.parameters()) {
    if (parameter.layer != layer) continue;
    const at::Tensor stored = checkpoint_.tensor(parameter);
    at::Tensor converted = stored.to(compute_.device, compute_.dtype);
    // A tensor that needed no conversion is still the file's mapping: take it out, so that its pages can go.
    weights[parameter.role] = converted.is_same(stored) ? stored.clone() : std::move(converted);
    checkpoint_.forget(parameter);
  }
  return weights;
}

struct Model::State {
  ModelSpec spec;
  Compute compute;
  std::vector<Parameter> parameters;
  std::vector<at::Tensor> tensors;
  std::optional<Checkpoint> origin;  // of weights that were rounded
};

Model::Model(const Checkpoint& checkpoint, Compute compute)
    : state_(std::make_shared<State>(State{checkpoint.spec(), compute, checkpoint.parameters(), {}, std::nullopt})) {
  if (at::promoteTypes(checkpoint.dtype(), compute.dtype) != compute.dtype) state_->origin = checkpoint;
  for (const Parameter& parameter : state_->parameters) {
    state_->tensors.push_back(checkpoint.tensor(parameter)
                                  .to(compute.device, compute.dtype, /*non_blocking=*/false, /*copy=*/true)
                                  .contiguous());
    checkpoint.forget(parameter);
  }
}

Model::Model(const ModelSpec& spec, std::uint64_t seed, Compute compute)
    : state_(std::make_shared<State>(State{spec, compute, espalier::parameters(spec), {}, std::nullopt})) {
  for (std::size_t i = 0; i < state_->parameters.size(); ++i) {
    state_->tensors.push_back(
        random_tensor(spec, state_->parameters[i], mix(seed, i)).to(compute.device, compute.dtype));
  }
}

Model::Model(WeightSource& source)
    : state_(std::make_shared<State>(
          State{source.spec(), source.compute(), espalier::parameters(source.spec()), {}, std::nullopt})) {
  Weights held;
  std::int64_t held_layer = -2;
  for (const Parameter& parameter : state_->parameters) {
    if (parameter.layer != held_layer) {
      held = {};  // before the next layer is fetched: one at a time
      held = parameter.layer < 0 ? source.outer() : source.layer(parameter.layer);
      held_layer = parameter.layer;
    }
    state_->tensors.push_back(held[parameter.role].clone());
  }
}

const ModelSpec& Model::spec() const { return state_->spec; }
Compute Model::compute() const { return state_->compute; }
const std::vector<Parameter>& Model::parameters() const { return state_->parameters; }
std::vector<at::Tensor>& Model::tensors() { return state_->tensors; }

at::Tensor Model::stored(std::size_t i) const {
  return state_->origin ? state_->origin->tensor(state_->parameters[i]) : at::Tensor();
}

Weights Model::outer() {
  Weights weights = layer(-1);
  tie(spec(), weights);
  return weights;
}

Weights Model::layer(std::int64_t layer) {
  Weights weights;
  for (std::size_t i = 0; i < state_->parameters.size(); ++i) {
    if (state_->parameters[i].layer == layer) weights[state_->parameters[i].role] = state_->tensors[i];
  }
  return weights;
}

void Model::set_requires_grad(bool on) {
  for (at::Tensor& tensor : state_->tensors) tensor.set_requires_grad(on);
}

}  // namespace espalier
