// SPDX-License-Identifier: Apache-2.0
#include "state.hpp"

#include <ATen/ops/zeros.h>

namespace espalier::plugins {

void require_layers(const std::string& metric, const AxisInfo& axis) {
  if (axis.dims.size() == 1 && axis.dims.front() == Dim::layers) return;
  throw RecipeError(concat("metric '", metric, "' scores layers and parts of them; got axis '", axis.name,
                           "'; expected an axis of layers, such as 'layers'"));
}

at::Tensor zeros(std::int64_t size) { return at::zeros({size}, at::kDouble); }

std::vector<at::Tensor> copy_state(const std::vector<at::Tensor>& state) {
  std::vector<at::Tensor> copy;
  for (const at::Tensor& tensor : state) copy.push_back(tensor.to(at::kCPU, at::kDouble, false, /*copy=*/true));
  return copy;
}

std::vector<at::Tensor> check_state(const std::string& metric, const std::vector<at::Tensor>& given,
                                    const std::vector<at::Tensor>& own) {
  bool same = given.size() == own.size();
  for (std::size_t i = 0; same && i < own.size(); ++i) same = given[i].defined() && given[i].sizes() == own[i].sizes();
  if (same) return copy_state(given);
  const auto shapes = [](const std::vector<at::Tensor>& tensors) {
    std::string text;
    for (const at::Tensor& tensor : tensors)
      text += concat(text.empty() ? "" : " ", tensor.defined() ? concat(tensor.sizes()) : "none");
    return text.empty() ? std::string("nothing") : text;
  };
  throw Error(
      concat("state of metric '", metric, "' has the wrong shape; got ", shapes(given), "; expected ", shapes(own)));
}

}  // namespace espalier::plugins
