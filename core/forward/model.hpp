// SPDX-License-Identifier: Apache-2.0
// Weights for the forward pass, in two residencies behind one interface.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "core/checkpoint/checkpoint.hpp"
#include "core/forward/decoder.hpp"
#include "espalier/sdk/feature_loss.hpp"

namespace espalier {

struct Compute {
  at::ScalarType dtype;
  at::Device device;
};

// Where a pass gets its weights. Tensors are in the compute dtype, on the device.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual const ModelSpec& spec() const = 0;
  virtual Compute compute() const = 0;
  virtual Weights outer() = 0;                    // embed, final norm, head (head = embed when tied)
  virtual Weights layer(std::int64_t layer) = 0;  // the caller keeps it while it needs it
};

// Head = embedding when they are tied, so that callers need not know.
void tie(const ModelSpec& spec, Weights& outer);

// One layer at a time from the mapped checkpoint: memory holds what the caller keeps and nothing else.
class StreamedWeights final : public WeightSource {
 public:
  StreamedWeights(const Checkpoint& checkpoint, Compute compute);
  const ModelSpec& spec() const override;
  Compute compute() const override;
  Weights outer() override;
  Weights layer(std::int64_t layer) override;

 private:
  const Checkpoint& checkpoint_;
  Compute compute_;
};

// All weights in memory; trainable. Tensors follow parameters(spec) one to one.
class Model final : public WeightSource {
 public:
  Model(const Checkpoint& checkpoint, Compute compute);
  // Random weights, as standard deviations: embedding 1 (small models learn far faster than with 0.02), matrices, and
  // an embedding that is the head, too, 1/sqrt(fan-in); norms at identity, biases 0. A function of (spec, seed) alone.
  Model(const ModelSpec& spec, std::uint64_t seed, Compute compute);
  explicit Model(WeightSource& source);  // a copy of all that it gives
  const ModelSpec& spec() const override;
  Compute compute() const override;
  Weights outer() override;
  Weights layer(std::int64_t layer) override;
  const std::vector<Parameter>& parameters() const;
  std::vector<at::Tensor>& tensors();  // one per parameter, in the same order
  // Parameter i as its checkpoint stores it, on the CPU, where that says more than tensors() could take; else
  // undefined.
  at::Tensor stored(std::size_t i) const;
  void set_requires_grad(bool on);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Hidden states to keep from a pass, (B, T, H) each; the keys say which.
using Features = std::map<Feature, at::Tensor>;

// tokens (B, T) → hidden states after the final norm (B, T, H). Whole layers, all in one go. Fills `features`; keys
// outside the model stay undefined.
at::Tensor hidden_states(WeightSource& weights, const at::Tensor& tokens, Hooks* hooks = nullptr,
                         Features* features = nullptr, Recompute recompute = Recompute::none);
// (…, H) → (…, V), float32 where the states are narrower: never rounded to less, and then without gradients.
at::Tensor logits(const Weights& outer, const at::Tensor& hidden);

// -log p of each label: hidden (N, H), labels (N) int64 → (N) float32. Logits exist for a chunk of rows at a time.
at::Tensor label_nll(const Weights& outer, const at::Tensor& hidden, const at::Tensor& labels);

// Mean-free nll of the next token: tokens (B, T) → (B, T-1) float32, logits in chunks of rows. `last_logits`, when not
// nullptr, receives the last position's (B, V) float32.
at::Tensor next_token_nll(const Weights& outer, const at::Tensor& hidden, const at::Tensor& tokens,
                          at::Tensor* last_logits = nullptr);

}  // namespace espalier
