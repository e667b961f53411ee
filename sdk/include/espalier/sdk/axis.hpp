// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "espalier/sdk/spec.hpp"

namespace espalier {
inline namespace abi_2 {

// What an axis is, in the terms that the rest of the program works with.
struct AxisInfo {
  std::string name;         // the name it is registered under
  std::string unit;         // "channel", "neuron", "query head", …
  std::vector<Dim> dims;    // consecutive dimensions whose product enumerates the units; {Dim::layers} removes layers
  bool shared = false;      // one selection for the whole model; else one for each layer
  bool one_run = false;     // axis of layers: what goes is one run of consecutive units
  Part part = Part::whole;  // axis of layers: its units are the layers that have this part, in order
  std::vector<Tap> taps;    // where the units can be seen, the default first; empty for an axis of layers
  std::string hugging_face_name;
  std::string megatron_name;
};

// What a kept unit's weights become before the others go: own × themselves + other × those of the unit `from`. Applies
// to every tensor with a dimension that is exactly `product`, for a bias or as the dimension number `dimension`: 0,
// what a matrix writes; 1, what it reads. Folds of one unit are computed from the unfolded weights, in float32.
struct Fold {
  std::vector<Dim> product;
  int dimension = 0;
  std::int64_t layer = 0;
  std::int64_t unit = 0, from = 0;  // indices of the axis's units
  double own = 1.0, other = 0.0;
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

  // Chooses exactly `keep` units (a legal one) from scores shaped like the selection, per layer or shared. With one_run
  // they may also be those of runs (Needs::runs): units - removed + 1 of them, by their first unit.
  // Ties go to the lower index, so that the choice is a function of the scores alone.
  virtual Selection select(const ModelSpec& spec, const Scores& scores, std::int64_t keep) const = 0;

  // The spec after the cut. Indices are those of `spec`.
  virtual ModelSpec shrink(const ModelSpec& spec, const Selection& selection) const = 0;

  // Optional: what of the removed units goes into the kept ones, and rescaling that keeps the function the same. Axes
  // of layers have none. The default is empty.
  virtual std::vector<Fold> folds(const ModelSpec& spec, const Scores& scores, const Selection& selection) const;
};

inline std::vector<Fold> PruningAxis::folds(const ModelSpec&, const Scores&, const Selection&) const { return {}; }

}  // namespace abi_2
}  // namespace espalier
