// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "espalier/sdk/spec.hpp"

namespace espalier {
inline namespace abi_1 {

struct AxisInfo;

// What a metric asks to be shown.
enum class Evidence {
  none,         // nothing: the score depends on the site alone (`random`)
  activations,  // the tensor at a tap, for every calibration sample
  block_io,     // hidden states before and after each layer
  weights,      // the weights that belong to each unit
  probe,        // the calibration loss with one unit skipped
};

struct Needs {
  Evidence evidence = Evidence::none;
  Tap tap = Tap::none;  // activations only: one of the axis's taps
};

// The place whose units an instance scores.
struct Site {
  std::string axis;
  std::int64_t layer = -1;  // -1: the whole model (an axis of layers)
  std::int64_t units = 0;
  std::int64_t channels = 1;  // activations: values per unit (head_dim for a head, 1 for a neuron)
  std::uint64_t seed = 0;     // differs from site to site, the same in every run of a recipe
};

// One piece of evidence. References are valid during the call only. Members that the evidence does not name are empty.
struct Observation {
  std::int64_t layer = 0;  // 0-based
  std::int64_t unit = 0;   // probe, and weights of an axis of layers: which unit this is about
  // activations: (batch, seq, units, channels)   block_io: the layer's input (batch, seq, hidden)
  // weights: (units, elements), float32, rows in unit order; for every tensor that names the axis's dimensions, a large
  //   one in several pieces with other elements each. An axis of layers: (1, elements) of the layer `unit`.
  const at::Tensor& input;
  const at::Tensor& output;  // block_io: the layer's output (batch, seq, hidden)
  double loss = 0.0;         // probe: mean nll in nats per token with the unit skipped
  double base_loss = 0.0;    // probe: mean nll of the whole model
};

// Scores the units of one axis at one site. The host makes one instance per site; for an axis that all layers share it
// adds up the finished scores of all sites, for the others each layer keeps its own.
//
// Life: constructor(Options [, const Host&]) → needs → begin → observe … → scores. All calls come from one thread and
// without gradients. Tensors arrive in the model's compute dtype on the model's device: convert to float32 before
// arithmetic. Every observation holds whole samples, in the order of the calibration set, and how samples are cut into
// observations must not change the scores beyond rounding.
class ESPALIER_SDK_VISIBLE ImportanceMetric {
 public:
  ImportanceMetric() = default;
  ImportanceMetric(const ImportanceMetric&) = delete;
  ImportanceMetric& operator=(const ImportanceMetric&) = delete;
  virtual ~ImportanceMetric() = default;

  // [before begin; also on an instance that is never begun] What to observe for this axis.
  // Throws Error when the metric cannot score it, saying which axes it can.
  virtual Needs needs(const AxisInfo& axis) const = 0;

  // [once] Sizes the state.
  virtual void begin(const Site& site) = 0;

  // [any number of times, never for Evidence::none]
  virtual void observe(const Observation& observation) = 0;

  // [after the last observation; may be called again] (units) float32 on the CPU, finite, larger = more important.
  virtual at::Tensor scores() const = 0;

  // The accumulated state as tensors, enough to go on from: restore(state()) on a begun instance equals this one.
  virtual std::vector<at::Tensor> state() const = 0;
  virtual void restore(const std::vector<at::Tensor>& state) = 0;

  // Adds the state of an instance that observed the samples after this one's.
  virtual void merge(const std::vector<at::Tensor>& later) = 0;
};

}  // namespace abi_1
}  // namespace espalier
