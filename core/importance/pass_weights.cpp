// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/base/interrupt.hpp"
#include "core/importance/passes.hpp"

namespace espalier {
namespace {

void show(Sites& sites, const ModelSpec& spec, const Parameter& parameter, const at::Tensor& weight) {
  const AxisInfo& axis = sites.job().axis;
  if (is_layers(axis)) {
    if (parameter.layer < 0 || !is_of_part(parameter.role, axis.part)) return;
    const std::vector<std::int64_t> layers = layers_with(spec, axis.part);
    const std::int64_t unit = std::lower_bound(layers.begin(), layers.end(), parameter.layer) - layers.begin();
    const Split whole{1, 1, weight.size(0)};
    for_unit_rows(weight, 0, whole, [&](const at::Tensor& row) {
      sites.at(-1, 0, 1).observe({.layer = parameter.layer,
                                  .unit = unit,
                                  .input = row,
                                  .output = kNoTensor,
                                  .gradient = kNoTensor,
                                  .readers = kNoTensor});
    });
    return;
  }
  if (!axis.shared && parameter.layer < 0) return;
  for (std::size_t dim = 0; dim < parameter.dims.size(); ++dim) {
    const std::optional<Split> split = split_at(spec, parameter.layer, parameter.dims[dim], axis.dims);
    if (!split) continue;
    ImportanceMetric& metric = sites.at(axis.shared ? -1 : parameter.layer, 0, 1);
    for_unit_rows(weight, static_cast<std::int64_t>(dim), *split, [&](const at::Tensor& rows) {
      metric.observe(
          {.layer = parameter.layer, .input = rows, .output = kNoTensor, .gradient = kNoTensor, .readers = kNoTensor});
    });
    return;
  }
}

}  // namespace

void observe_weights(WeightSource& weights, const std::vector<Sites*>& sites) {
  const ModelSpec& spec = weights.spec();
  Weights held;
  std::int64_t held_layer = -2;
  for (const Parameter& parameter : parameters(spec)) {  // in file order: the layers follow each other
    if (parameter.layer != held_layer) {
      throw_if_interrupted();
      held = {};  // before the next layer is fetched: one at a time
      held = parameter.layer < 0 ? weights.outer() : weights.layer(parameter.layer);
      held_layer = parameter.layer;
    }
    for (Sites* one : sites) show(*one, spec, parameter, held[parameter.role]);
  }
}

}  // namespace espalier
