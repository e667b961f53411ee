// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <deque>
#include <vector>

#include "core/importance/sites.hpp"

namespace espalier {

// Sees what goes into the units of axes of layers and what comes out, during a walk: of whole layers, of the attention
// or MLP of a layer (the residual stream before and after), and of runs of layers (input of the first, output of the
// last). Feeds the sites that ask for block_io.
class BlockWatcher {
 public:
  BlockWatcher(const ModelSpec& spec, const std::vector<Sites*>& sites);
  // Hidden states of a batch that exist at a time: runs need the inputs of as many layers as they have.
  std::int64_t copies() const { return longest_run_; }

  // The events of a WalkVisitor.
  void enter(std::int64_t layer, std::size_t batch, const at::Tensor& hidden);
  void into_residual(std::int64_t layer, const at::Tensor& x);
  void leave(std::int64_t layer, std::size_t batch, const at::Tensor& before, const at::Tensor& after);

 private:
  void show(Part part, std::int64_t layer, const at::Tensor& before, const at::Tensor& after);

  const ModelSpec& spec_;
  std::vector<Sites*> sites_;
  bool parts_ = false;
  std::int64_t longest_run_ = 1;
  std::array<std::vector<std::int64_t>, 3> unit_of_;  // part → layer → unit
  at::Tensor stream_;                                 // the residual stream so far in this layer
  bool attention_passed_ = false;
  std::vector<std::deque<at::Tensor>> inputs_;  // batch → inputs of the last layers
};

}  // namespace espalier
