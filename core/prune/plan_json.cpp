// SPDX-License-Identifier: Apache-2.0
#include "core/prune/plan_json.hpp"

#include <numeric>

#include "core/base/error.hpp"
#include "core/model/counts.hpp"
#include "core/model/family.hpp"
#include "core/model/layer_axis.hpp"
#include "core/prune/blocks.hpp"

namespace espalier {

namespace {

using nlohmann::json;

json spec_with_counts(const ModelSpec& spec, std::int64_t bytes_per_element, std::int64_t seq_length) {
  const Counts counts = count(spec, bytes_per_element, seq_length);
  json result = spec_to_json(spec);
  result["parameters"] = counts.parameters;
  result["non_embedding_parameters"] = counts.non_embedding_parameters;
  result["bytes"] = counts.bytes;
  result["flops_per_token"] = counts.flops_per_token;
  result["kv_bytes_per_token"] = counts.kv_bytes_per_token;
  return result;
}

ModelSpec spec_without_counts(json object, const std::string& source) {
  for (const char* key : {"parameters", "non_embedding_parameters", "bytes", "flops_per_token", "kv_bytes_per_token"})
    object.erase(key);
  return spec_from_json(object, source);
}

json names_of(const std::vector<Dim>& dims) {
  json names = json::array();
  for (const Dim dim : dims) names.push_back(name_of(dim));
  return names;
}

Dim dim_from(const std::string& name, const std::string& source) {
  for (const Dim dim :
       {Dim::hidden, Dim::ffn, Dim::kv_groups, Dim::heads_per_group, Dim::head_dim, Dim::vocab, Dim::layers}) {
    if (name == name_of(dim)) return dim;
  }
  fail("{}: unknown dimension; got '{}'", source, name);
}

Part part_from(const std::string& name, const std::string& source) {
  for (const Part part : {Part::whole, Part::attention, Part::mlp}) {
    if (name == name_of(part)) return part;
  }
  fail("{}: unknown part of a layer; got '{}'; expected 'layer', 'attention' or 'mlp'", source, name);
}

json kept_to_json(const Plan& plan, const AxisSelection& selection) {
  if (selection.info.shared) return selection.kept.kept.front();
  json lists = json::array();
  for (const std::int64_t layer : plan.layer_of) lists.push_back(selection.kept.kept[static_cast<std::size_t>(layer)]);
  return lists;
}

Selection kept_from_json(const json& lists, const Plan& plan, const AxisInfo& info) {
  Selection selection;
  if (info.shared) {
    selection.kept.push_back(lists.get<Indices>());
    return selection;
  }
  for (std::size_t layer = 0; layer < plan.teacher.layers.size(); ++layer) {
    Indices all(static_cast<std::size_t>(extent_of(plan.teacher, static_cast<std::int64_t>(layer), info.dims)));
    std::iota(all.begin(), all.end(), 0);
    selection.kept.push_back(std::move(all));
  }
  for (std::size_t i = 0; i < plan.layer_of.size(); ++i) {
    selection.kept.at(static_cast<std::size_t>(plan.layer_of[i])) = lists.at(i).get<Indices>();
  }
  return selection;
}

// Indices from a file are not to be trusted.
void check_range(const Plan& plan, const AxisSelection& selection, const std::string& source) {
  const bool layers = is_layers(selection.info);
  for (std::size_t i = 0; i < selection.kept.kept.size(); ++i) {
    const std::int64_t layer = selection.info.shared ? -1 : static_cast<std::int64_t>(i);
    const std::int64_t extent = layers
                                    ? static_cast<std::int64_t>(layers_with(plan.teacher, selection.info.part).size())
                                    : extent_of(plan.teacher, layer, selection.info.dims);
    std::int64_t previous = -1;
    for (const std::int64_t unit : selection.kept.kept[i]) {
      if (unit <= previous || unit >= extent) {
        fail("{}: selection of axis '{}' is damaged; got unit {} after {}; expected ascending units below {}", source,
             selection.info.name, unit, previous, extent);
      }
      previous = unit;
    }
  }
}

// The layers of the student must be those of the teacher that `layer_of` names, with the blocks that the selections
// leave.
void check_layers(const Plan& plan, const std::string& source) {
  if (plan.layer_of.size() != plan.student.layers.size()) {
    fail("{}: layer_of is damaged; got {} layers; expected {}", source, plan.layer_of.size(),
         plan.student.layers.size());
  }
  const ModelSpec left = without_blocks(plan);
  for (std::size_t i = 0; i < plan.layer_of.size(); ++i) {
    const LayerSpec &student = plan.student.layers[i],
                    &of_teacher = left.layers.at(static_cast<std::size_t>(plan.layer_of[i]));
    if (student.attention == of_teacher.attention && student.mlp == of_teacher.mlp) continue;
    fail("{}: layer {} of the student does not have the blocks that the selections leave", source, i);
  }
}

// Folds that follow each other on the same dimension share an object of columns: a fold is the same place in each.
json folds_to_json(const std::vector<Fold>& folds) {
  json groups = json::array();
  const Fold* previous = nullptr;
  for (const Fold& fold : folds) {
    if (previous == nullptr || fold.product != previous->product || fold.dimension != previous->dimension)
      groups.push_back({{"product", names_of(fold.product)}, {"dimension", fold.dimension}});
    json& group = groups.back();
    group["layer"].push_back(fold.layer);
    group["unit"].push_back(fold.unit);
    group["from"].push_back(fold.from);
    group["own"].push_back(fold.own);
    group["other"].push_back(fold.other);
    previous = &fold;
  }
  return groups;
}

std::vector<Fold> folds_from_json(const json& groups, const std::string& source) {
  std::vector<Fold> folds;
  for (const json& group : groups) {
    Fold fold;
    for (const json& dim : group.at("product")) fold.product.push_back(dim_from(dim.get<std::string>(), source));
    fold.dimension = group.at("dimension").get<int>();
    for (std::size_t i = 0; i < group.at("unit").size(); ++i) {
      fold.layer = group.at("layer").at(i).get<std::int64_t>();
      fold.unit = group.at("unit").at(i).get<std::int64_t>();
      fold.from = group.at("from").at(i).get<std::int64_t>();
      fold.own = group.at("own").at(i).get<double>();
      fold.other = group.at("other").at(i).get<double>();
      folds.push_back(fold);
    }
  }
  return folds;
}

void check_folds(const Plan& plan, const AxisSelection& selection, const std::string& source) {
  const auto layers = static_cast<std::int64_t>(plan.teacher.layers.size());
  for (const Fold& fold : selection.folds) {
    const bool placed = fold.layer >= (selection.info.shared ? -1 : 0) && fold.layer < layers &&
                        (fold.dimension == 0 || fold.dimension == 1) && find_run(fold.product, selection.info.dims);
    const std::int64_t units = placed ? extent_of(plan.teacher, fold.layer, selection.info.dims) : 0;
    if (fold.unit >= 0 && fold.unit < units && fold.from >= 0 && fold.from < units) continue;
    fail(
        "{}: folds of axis '{}' are damaged; got layer {}, dimension {}, units {} and {}; expected what the teacher "
        "has",
        source, selection.info.name, fold.layer, fold.dimension, fold.unit, fold.from);
  }
}

}  // namespace

json plan_to_json(const Plan& plan, std::int64_t bytes_per_element, std::int64_t seq_length) {
  json result;
  result["teacher"] = spec_with_counts(plan.teacher, bytes_per_element, seq_length);
  result["student"] = spec_with_counts(plan.student, bytes_per_element, seq_length);
  result["layer_of"] = plan.layer_of;
  result["selections"] = json::object();
  result["axes"] = json::array();
  for (const AxisSelection& selection : plan.selections) {
    result["axes"].push_back({{"name", selection.info.name},
                              {"unit", selection.info.unit},
                              {"dims", names_of(selection.info.dims)},
                              {"shared", selection.info.shared},
                              {"keep", selection.keep},
                              {"of", selection.extent}});
    if (selection.info.part != Part::whole) result["axes"].back()["part"] = name_of(selection.info.part);
    if (!plan.scored) continue;
    if (!selection.folds.empty()) result["axes"].back()["folds"] = folds_to_json(selection.folds);
    result["selections"][selection.info.name] = kept_to_json(plan, selection);
  }
  return result;
}

Plan plan_from_json(const json& document, const std::string& source) {
  try {
    Plan plan;
    plan.scored = true;
    plan.teacher = spec_without_counts(document.at("teacher"), source);
    plan.student = spec_without_counts(document.at("student"), source);
    plan.layer_of = document.at("layer_of").get<Indices>();
    for (const json& axis : document.at("axes")) {
      AxisSelection selection;
      selection.info.name = axis.at("name").get<std::string>();
      selection.info.unit = axis.at("unit").get<std::string>();
      for (const json& dim : axis.at("dims")) selection.info.dims.push_back(dim_from(dim.get<std::string>(), source));
      selection.info.shared = axis.at("shared").get<bool>();
      selection.info.part = part_from(axis.value("part", name_of(Part::whole)), source);
      if (is_layers(selection.info) && !selection.info.shared) {
        fail("{}: axis '{}' is damaged; got layers that each layer chooses; expected shared", source,
             selection.info.name);
      }
      selection.keep = axis.at("keep").get<std::int64_t>();
      selection.extent = axis.at("of").get<std::int64_t>();
      selection.kept = kept_from_json(document.at("selections").at(selection.info.name), plan, selection.info);
      check_range(plan, selection, source);
      if (axis.contains("folds")) selection.folds = folds_from_json(axis.at("folds"), source);
      check_folds(plan, selection, source);
      plan.selections.push_back(std::move(selection));
    }
    check_layers(plan, source);
    return plan;
  } catch (const json::exception& error) {
    fail("{}: not a plan; got {}", source, error.what());
  } catch (const std::out_of_range&) {
    fail("{}: not a plan; got a layer that the teacher does not have", source);
  }
}

}  // namespace espalier
