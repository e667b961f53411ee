// SPDX-License-Identifier: Apache-2.0
#include "core/importance/readers.hpp"

#include <ATen/ops/empty.h>

#include "core/importance/passes.hpp"

namespace espalier {

std::vector<Tap> read_taps() { return {Tap::norm_output, Tap::fc2_input, Tap::o_proj_input}; }

std::vector<Role> readers_of(const ModelSpec& spec, std::int64_t layer, Tap tap, std::int64_t occurrence) {
  const LayerSpec& here = spec.layers[static_cast<std::size_t>(layer)];
  // In the order of the forward pass, which is the order in which a tap is passed.
  std::vector<std::vector<Role>> passes;
  if (tap == Tap::norm_output && here.attention) passes.push_back({Role::q, Role::k, Role::v});
  if (tap == Tap::norm_output && here.mlp)
    passes.push_back(spec.gated ? std::vector<Role>{Role::gate, Role::up} : std::vector<Role>{Role::up});
  if (tap == Tap::o_proj_input && here.attention) passes.push_back({Role::o});
  if (tap == Tap::fc2_input && here.mlp) passes.push_back({Role::down});
  return occurrence < static_cast<std::int64_t>(passes.size()) ? passes[static_cast<std::size_t>(occurrence)]
                                                               : std::vector<Role>();
}

at::Tensor readers_by_unit(const Weights& weights, const std::vector<Role>& roles, const Split& split) {
  std::int64_t outputs = 0;
  for (const Role role : roles) outputs += weights[role].size(0);
  const at::Tensor all = at::empty({split.units, split.outer, split.inner, outputs},
                                   weights[roles.front()].options().dtype(at::kFloat).requires_grad(false));
  std::int64_t first = 0;
  for (const Role role : roles) {
    const at::Tensor& weight = weights[role];  // (outputs, outer × units × inner)
    const std::int64_t rows = weight.size(0);
    all.narrow(3, first, rows)
        .copy_(weight.detach().view({rows, split.outer, split.units, split.inner}).permute({2, 1, 3, 0}));
    first += rows;
  }
  return all.view({split.units, split.channels(), outputs});
}

void show_readers(Sites& sites, const ModelSpec& spec, std::int64_t layer, const Weights& weights) {
  const Tap tap = sites.needs().tap;
  for (std::int64_t occurrence = 0;; ++occurrence) {
    const std::vector<Role> roles = readers_of(spec, layer, tap, occurrence);
    if (roles.empty()) return;
    if (sites.has(layer, occurrence)) continue;
    const Split split = split_of_tap(spec, layer, tap, sites.job().axis);
    const at::Tensor readers = readers_by_unit(weights, roles, split);
    sites.at(layer, occurrence, split.channels())
        .observe({.layer = layer, .input = kNoTensor, .output = kNoTensor, .gradient = kNoTensor, .readers = readers});
  }
}

}  // namespace espalier
