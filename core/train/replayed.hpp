// SPDX-License-Identifier: Apache-2.0
// A function of tensors that a GPU records once and plays from then on: one launch in place of thousands, which is what
// small models wait for.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/ops/device_kernels.hpp"

namespace espalier {

class Replayed {
 public:
  using Tensors = std::vector<at::Tensor>;
  // `function` launches the same operations whenever shapes are equal, and waits for nothing; apart from its inputs it
  // reads and writes only tensors that outlive this object.
  explicit Replayed(std::function<Tensors(const Tensors&)> function) : function_(std::move(function)) {}

  // The results of a recording belong to it: the next call writes them anew. Calls with other shapes than the first,
  // and all where the device cannot record, are plain ones. A recording that fails is warned of, and not tried again.
  Tensors operator()(const Tensors& inputs);

 private:
  bool fits(const Tensors& inputs) const;
  void record(const Tensors& inputs);

  std::function<Tensors(const Tensors&)> function_;
  int plain_calls_ = 0;  // caches and buffers are filled in these
  Tensors inputs_, results_;
  std::unique_ptr<Recording> recording_;
  bool failed_ = false;
};

}  // namespace espalier
