// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "espalier/sdk/spec.hpp"

namespace espalier {
inline namespace abi_2 {

struct AxisInfo;

// What a metric asks to be shown.
enum class Evidence {
  none,         // nothing: the score depends on the site alone (`random`)
  activations,  // the tensor at a tap, for every calibration sample
  block_io,     // hidden states before and after each layer, or part of a layer
  weights,      // the weights that belong to each unit
  probe,        // the calibration loss with one unit skipped
  gradients,    // as activations (of an axis of layers: block_io), with the loss's gradient
  task,         // the accuracy in a choice task with one unit skipped
};

// Evidence::task only.
struct TaskNeeds {
  std::string file;        // choice tasks, .jsonl
  std::int64_t shots = 0;  // solved examples in front of each
  bool length_normalised = false;
};

struct Needs {
  Evidence evidence = Evidence::none;
  Tap tap = Tap::none;  // activations and gradients of a width: one of the axis's taps
  // Activations only: before the first sample, also the weights that read the tap. Taps that matrices read are
  // norm_output, fc2_input and o_proj_input.
  bool readers = false;
  // Axes with AxisInfo::one_run, block_io, probe and task: score whole runs of Site::run units. Else units one by one,
  // and the axis adds up what a run's units score.
  bool runs = false;
  TaskNeeds task = {};
};

// The place whose units an instance scores.
struct Site {
  std::string axis;
  std::int64_t layer = -1;  // -1: the whole model (an axis of layers)
  std::int64_t units = 0;
  std::int64_t channels = 1;  // activations: values per unit (head_dim for a head, 1 for a neuron)
  std::uint64_t seed = 0;     // differs from site to site, the same in every run of a recipe
  std::int64_t run = 1;       // Needs::runs: units of a run; `units` is then the number of runs, by their first unit
};

// One piece of evidence. References are valid during the call only. Members that the evidence does not name are empty.
struct Observation {
  std::int64_t layer = 0;  // 0-based
  std::int64_t unit = 0;   // axes of layers: which unit (or run) this is about
  // activations: (batch, seq, units, channels)   block_io: the unit's input (batch, seq, hidden)
  // weights: (units, elements), float32, rows in unit order; for every tensor that names the axis's dimensions, a large
  //   one in several pieces with other elements each. An axis of layers: (1, elements) of the layer `unit`.
  const at::Tensor& input;
  const at::Tensor& output;    // block_io: the unit's output (batch, seq, hidden)
  const at::Tensor& gradient;  // gradients: of each sample's mean nll, shaped like the activation or the unit's output
  // Needs::readers: (units, channels, outputs) float32, all matrices that read the tap beside each other. Shown once to
  // every instance, right after begin, in an observation of its own in which `input` is undefined.
  const at::Tensor& readers;
  double loss = 0.0;           // probe: mean nll in nats per token with the unit skipped
  double base_loss = 0.0;      // probe: mean nll of the whole model
  double divergence = 0.0;     // probe: mean over tokens of KL(whole model || with the unit skipped), nats
  double accuracy = 0.0;       // task: share of right choices with the unit skipped
  double base_accuracy = 0.0;  // task: of the whole model
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

}  // namespace abi_2
}  // namespace espalier
