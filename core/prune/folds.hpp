// SPDX-License-Identifier: Apache-2.0
// What goes from unit to unit before the cut (sdk/axis.hpp, Fold): checking what an axis returns, and reading a
// teacher's tensor with its folds applied, some rows at a time.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/prune/plan.hpp"

namespace espalier {

// What the folds of a step are counted in.
struct FoldContext {
  const std::string& axis;  // as the recipe says it
  const AxisInfo& info;
  const std::vector<Indices>& units;  // of each current layer, or once: the surviving units in the teacher's numbering
  const Selection& selection;         // in the numbering of the spec at hand
};

// An axis's folds in the teacher's numbering (layers and units). `plan` is the one before the cut. A broken promise is
// an Error that names the axis.
std::vector<Fold> checked_folds(const std::vector<Fold>& folds, const FoldContext& context, const Plan& plan);

// Does the fold change this teacher's tensor?
bool folds_into(const Fold& fold, const Parameter& parameter);

// One teacher's tensor after all folds of a plan.
class FoldedTensor {
 public:
  FoldedTensor(const Plan& plan, const Parameter& source);
  bool changed() const { return !steps_.empty(); }
  // These rows, whole, in float32: each product and each sum is rounded to it, nothing is rounded to the stored dtype.
  at::Tensor rows(const at::Tensor& stored, const Indices& positions) const {
    return rows_after(stored, positions, steps_.size());
  }

 private:
  // Along one dimension: position → own × itself + other × from. A position that no fold names has from -1.
  struct Map {
    std::vector<float> own, other;
    Indices from;
  };
  // What one axis does along one dimension. Its maps follow each other, but all take from what was before the first.
  struct Step {
    int dimension = 0;
    std::vector<Map> maps;
  };
  static Step step_of(const ModelSpec& teacher, const AxisSelection& selection, const Parameter& source, int dimension);
  static at::Tensor folded(const at::Tensor& x, const Step& step, const Indices& positions,
                           const std::function<at::Tensor(const Indices&)>& before);
  at::Tensor rows_after(const at::Tensor& stored, const Indices& positions, std::size_t steps) const;
  std::vector<Step> steps_;
};

}  // namespace espalier
