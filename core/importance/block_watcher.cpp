// SPDX-License-Identifier: Apache-2.0
#include "core/importance/block_watcher.hpp"

#include <algorithm>

#include <ATen/TensorOperators.h>

#include "core/importance/passes.hpp"

namespace espalier {

BlockWatcher::BlockWatcher(const ModelSpec& spec, const std::vector<Sites*>& sites) : spec_(spec) {
  for (Sites* one : sites) {
    if (one->needs().evidence != Evidence::block_io) continue;
    sites_.push_back(one);
    parts_ = parts_ || one->job().axis.part != Part::whole;
    longest_run_ = std::max(longest_run_, one->run());
  }
  for (const Part part : {Part::whole, Part::attention, Part::mlp}) {
    std::vector<std::int64_t>& units = unit_of_[static_cast<std::size_t>(part)];
    units.assign(spec.layers.size(), -1);
    const std::vector<std::int64_t> layers = layers_with(spec, part);
    for (std::size_t unit = 0; unit < layers.size(); ++unit) {
      units[static_cast<std::size_t>(layers[unit])] = static_cast<std::int64_t>(unit);
    }
  }
}

void BlockWatcher::enter(std::int64_t layer, std::size_t batch, const at::Tensor& hidden) {
  if (parts_) stream_ = hidden;
  attention_passed_ = false;
  if (longest_run_ == 1) return;
  if (inputs_.size() <= batch) inputs_.resize(batch + 1);
  if (layer == 0) inputs_[batch].clear();
  inputs_[batch].push_back(hidden);
}

void BlockWatcher::into_residual(std::int64_t layer, const at::Tensor& x) {
  if (!parts_ || layer < 0) return;
  const bool attention = spec_.layers[static_cast<std::size_t>(layer)].attention && !attention_passed_;
  attention_passed_ = true;
  const at::Tensor after = stream_ + x;
  show(attention ? Part::attention : Part::mlp, layer, stream_, after);
  stream_ = after;
}

void BlockWatcher::leave(std::int64_t layer, std::size_t batch, const at::Tensor& before, const at::Tensor& after) {
  stream_.reset();
  show(Part::whole, layer, before, after);
  if (longest_run_ == 1) return;
  std::deque<at::Tensor>& inputs = inputs_[batch];
  for (Sites* sites : sites_) {
    const std::int64_t run = sites->run(), first = layer - run + 1;
    if (run == 1 || first < 0) continue;
    const at::Tensor& input = inputs[inputs.size() - static_cast<std::size_t>(run)];
    sites->at(-1, 0, 1).observe(
        {.layer = first, .unit = first, .input = input, .output = after, .gradient = kNoTensor, .readers = kNoTensor});
  }
  if (static_cast<std::int64_t>(inputs.size()) == longest_run_) inputs.pop_front();
  if (layer + 1 == static_cast<std::int64_t>(spec_.layers.size())) inputs.clear();
}

void BlockWatcher::show(Part part, std::int64_t layer, const at::Tensor& before, const at::Tensor& after) {
  for (Sites* sites : sites_) {
    if (sites->job().axis.part != part || sites->run() > 1) continue;
    sites->at(-1, 0, 1).observe({.layer = layer,
                                 .unit = unit_of_[static_cast<std::size_t>(part)][static_cast<std::size_t>(layer)],
                                 .input = before,
                                 .output = after,
                                 .gradient = kNoTensor,
                                 .readers = kNoTensor});
  }
}

}  // namespace espalier
