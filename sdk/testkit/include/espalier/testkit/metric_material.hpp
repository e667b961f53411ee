// SPDX-License-Identifier: Apache-2.0
// Evidence for metrics, made up, and the ways of showing it.
#pragma once

#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "espalier/sdk/metric.hpp"
#include "espalier/testkit/compare.hpp"
#include "espalier/testkit/specs.hpp"

namespace espalier::testkit {

struct MaterialSize {
  std::int64_t units = 2, samples = 2, tokens = 2;
};

inline const char* name_of(Evidence evidence) {
  constexpr const char* names[] = {"none", "activations", "block_io", "weights", "probe", "gradients", "task"};
  return names[static_cast<int>(evidence)];
}

// All that one site is shown, before it is cut into observations.
//   activations: inputs {(samples, tokens, units, channels)}
//   block_io:    inputs and outputs, (samples, tokens, hidden) for each layer
//   weights:     inputs (units, elements) of three tensors; of layers: (1, elements), three for each layer in turn
//   probe, task: losses (1 + units), the whole model's first
//   gradients:   as activations, or as block_io for an axis of layers, with a gradient for each input
struct Material {
  Needs needs;
  Site site;
  MaterialSize size;
  bool of_layers = false;
  std::int64_t first_layer = 0;  // the layer of unit 0: 1 where units are parts, as if layer 0 lacked its part
  std::vector<at::Tensor> inputs, outputs, gradients;
  at::Tensor readers, losses;
  std::string text;  // for examples
};

// Owns what an Observation refers to.
struct Exhibit {
  std::int64_t layer = 0, unit = 0;
  at::Tensor input = {}, output = {}, gradient = {}, readers = {};
  double probed = 0.0, base = 0.0;  // what probe and task measured
  Observation observation() const {
    return {.layer = layer,
            .unit = unit,
            .input = input,
            .output = output,
            .gradient = gradient,
            .readers = readers,
            .loss = probed,
            .base_loss = base,
            .divergence = probed < base ? base - probed : probed - base,
            .accuracy = 1.0 / (1.0 + probed),
            .base_accuracy = 1.0 / (1.0 + base)};
  }
};

inline bool is_measured(Evidence evidence) { return evidence == Evidence::probe || evidence == Evidence::task; }

inline constexpr int kTensorsOfAUnit = 3;

inline Material make_material(const AxisInfo& axis, const Needs& needs, const MaterialSize& size, std::uint64_t seed) {
  Material made;
  made.needs = needs;
  made.size = size;
  made.of_layers = removes_layers(axis);
  made.first_layer = axis.part == Part::whole ? 0 : 1;
  const bool heads = axis.taps == std::vector<Tap>{Tap::o_proj_input};
  const bool at_tap =
      needs.evidence == Evidence::activations || (needs.evidence == Evidence::gradients && !made.of_layers);
  const bool block_io =
      needs.evidence == Evidence::block_io || (needs.evidence == Evidence::gradients && made.of_layers);
  const std::int64_t channels = at_tap && heads ? 3 : 1, run = needs.runs && axis.one_run ? 2 : 1;
  const bool whole_model = made.of_layers || (axis.shared && !at_tap);
  made.site = {axis.name, whole_model ? -1 : 0, size.units, channels, seed, run};
  made.text = concat("axis '", axis.name, "', ", name_of(needs.evidence), ", ", size.units, " units");
  if (channels > 1) made.text += concat(" of ", channels, " channels");
  if (axis.one_run) made.text += run > 1 ? ", runs of 2" : ", of which one run goes";
  if (at_tap || block_io) made.text += concat(", ", size.samples, " samples of ", size.tokens, " tokens");
  made.text += concat(", seed ", seed);
  // Units of different sizes, so that no two scores are close by chance.
  if (at_tap) {
    const at::Tensor spread = at::arange(1, size.units + 1, at::kFloat).view({1, 1, size.units, 1});
    made.inputs = {normal({size.samples, size.tokens, size.units, channels}, seed) * spread};
  } else if (block_io) {
    for (std::int64_t l = 0; l < size.units; ++l) {
      const auto layer = static_cast<std::uint64_t>(l);
      made.inputs.push_back(normal({size.samples, size.tokens, 5}, seed + 2 * layer));
      made.outputs.push_back(made.inputs.back() + normal({size.samples, size.tokens, 5}, seed + 2 * layer + 1) *
                                                      (0.1 * static_cast<double>(l + 1)));
    }
  } else if (needs.evidence == Evidence::weights) {
    const std::int64_t tensors = kTensorsOfAUnit * (made.of_layers ? size.units : 1);
    for (std::int64_t i = 0; i < tensors; ++i) {
      const std::int64_t rows = made.of_layers ? 1 : size.units;
      made.inputs.push_back(normal({rows, 4 + 2 * (i % kTensorsOfAUnit)}, seed + static_cast<std::uint64_t>(i)));
    }
  } else if (is_measured(needs.evidence)) {
    made.losses = normal({size.units + 1}, seed).abs() + 2.0;
  }
  if (needs.evidence == Evidence::gradients) {
    for (const at::Tensor& input : made.inputs) made.gradients.push_back(normal(input.sizes(), seed + 100));
  }
  if (needs.readers) made.readers = normal({size.units, channels, 6}, seed + 200);
  return made;
}

// Every tensor changed by `change`.
template <class Change>
Material changed(Material material, const std::string& how, Change&& change) {
  for (at::Tensor& tensor : material.inputs) tensor = change(tensor);
  for (at::Tensor& tensor : material.outputs) tensor = change(tensor);
  for (at::Tensor& tensor : material.gradients) tensor = change(tensor);
  if (material.readers.defined()) material.readers = change(material.readers).to(at::kFloat);
  if (material.losses.defined()) material.losses = change(material.losses);
  material.text += ", " + how;
  return material;
}

// Unit i shows what unit order[i] showed.
inline Material permuted(Material material, const std::vector<std::int64_t>& order) {
  const at::Tensor index = at::tensor(order, at::kLong);
  const auto reorder = [&](std::vector<at::Tensor>& tensors, std::size_t each) {
    const std::vector<at::Tensor> before = tensors;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      tensors[i] = before[static_cast<std::size_t>(order[i / each]) * each + i % each];
    }
  };
  if (material.losses.defined()) {
    material.losses =
        at::cat({material.losses.narrow(0, 0, 1), material.losses.narrow(0, 1, index.numel()).index_select(0, index)});
  } else if (material.of_layers) {
    reorder(material.inputs, material.needs.evidence == Evidence::weights ? kTensorsOfAUnit : 1);
    reorder(material.outputs, 1);
    reorder(material.gradients, 1);
  } else {
    const std::int64_t dim = material.needs.evidence == Evidence::weights ? 0 : 2;
    for (at::Tensor& tensor : material.inputs) tensor = tensor.index_select(dim, index);
    for (at::Tensor& tensor : material.gradients) tensor = tensor.index_select(dim, index);
    if (material.readers.defined()) material.readers = material.readers.index_select(0, index);
  }
  material.text += ", units in the order " + listed(order);
  return material;
}

// As the host shows it, in observations of so many samples; weights: in so many pieces as there are numbers in `cut`,
// other elements in each. What probe and task measure is never cut. Without the readers, which come before.
inline std::vector<Exhibit> observations(const Material& material, const std::vector<std::int64_t>& cut) {
  std::vector<Exhibit> shown;
  const Evidence evidence = material.needs.evidence;
  if (is_measured(evidence)) {
    for (std::int64_t unit = 0; unit < material.size.units; ++unit) {
      shown.push_back({.layer = unit + material.first_layer,
                       .unit = unit,
                       .probed = material.losses[unit + 1].item<double>(),
                       .base = material.losses[0].item<double>()});
    }
  } else if (evidence == Evidence::weights) {
    for (std::size_t i = 0; i < material.inputs.size(); ++i) {
      const std::int64_t unit = material.of_layers ? static_cast<std::int64_t>(i) / kTensorsOfAUnit : 0;
      for (const at::Tensor& piece : material.inputs[i].chunk(static_cast<std::int64_t>(cut.size()), 1)) {
        shown.push_back({.layer = unit + material.first_layer, .unit = unit, .input = piece.contiguous()});
      }
    }
  } else if (evidence != Evidence::none) {
    std::int64_t first = 0;
    for (const std::int64_t count : cut) {
      for (std::size_t l = 0; l < material.inputs.size(); ++l) {
        const auto layer = static_cast<std::int64_t>(l);
        const auto part_of = [&](const std::vector<at::Tensor>& tensors) {
          return tensors.empty() ? at::Tensor() : tensors[l].narrow(0, first, count);
        };
        shown.push_back({.layer = layer + material.first_layer,
                         .unit = layer,
                         .input = part_of(material.inputs),
                         .output = part_of(material.outputs),
                         .gradient = part_of(material.gradients)});
      }
      first += count;
    }
  }
  return shown;
}

}  // namespace espalier::testkit
