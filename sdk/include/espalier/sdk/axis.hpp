// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "espalier/sdk/spec.hpp"

namespace espalier {
inline namespace abi_1 {

// What an axis is, in the terms that the rest of the program works with.
struct AxisInfo {
  std::string name;       // the name it is registered under
  std::string unit;       // "channel", "neuron", "query head", …
  std::vector<Dim> dims;  // consecutive dimensions whose product enumerates the units; {Dim::layers} removes layers
  bool shared = false;    // one selection for the whole model; else one for each layer
  std::vector<Tap> taps;  // where the units can be seen, the default first; empty for an axis of layers
  std::string hugging_face_name;
  std::string megatron_name;
};

// A way to make a model shorter. Knows nothing of families, tensors or files: the host finds every tensor dimension
// whose product contains `dims` and gathers the kept units along it.
//
// All methods are pure functions of their arguments and of the options; they run on the CPU, without gradients.
class ESPALIER_SDK_VISIBLE PruningAxis {
 public:
  PruningAxis() = default;
  PruningAxis(const PruningAxis&) = delete;
  PruningAxis& operator=(const PruningAxis&) = delete;
  virtual ~PruningAxis() = default;

  virtual AxisInfo describe() const = 0;

  // Number of units now, as config.json counts them (`heads`: all query heads). Per layer unless the axis is shared.
  virtual std::int64_t extent(const ModelSpec& spec) const = 0;

  // A legal `keep` is a multiple of this, or the extent itself. The host rounds a `ratio` to the nearest one.
  virtual std::int64_t step(const ModelSpec& spec) const = 0;

  // Chooses exactly `keep` units (a legal one) from scores shaped like the selection, per layer or shared.
  // Ties go to the lower index, so that the choice is a function of the scores alone.
  virtual Selection select(const ModelSpec& spec, const Scores& scores, std::int64_t keep) const = 0;

  // The spec after the cut. Indices are those of `spec`.
  virtual ModelSpec shrink(const ModelSpec& spec, const Selection& selection) const = 0;
};

}  // namespace abi_1
}  // namespace espalier
