// SPDX-License-Identifier: Apache-2.0
#include "core/run/provenance.hpp"

#include "core/base/digest.hpp"
#include "core/run/lock.hpp"

namespace espalier {

namespace {

// Of what the recipe asks for, wherever it lies and writes to.
std::string recipe_digest(const Run& run) {
  Recipe recipe = run.recipe();
  recipe.output.clear();
  recipe.plugins.clear();  // named by their own digests
  return digest_of(resolved_recipe(recipe, run.registry()));
}

}  // namespace

nlohmann::json provenance_of(Run& run) {
  nlohmann::json json;
  json["program"] = "espalier " ESPALIER_VERSION;
  json["recipe"] = run.recipe().name;
  json["seed"] = run.recipe().seed;
  json["recipe_digest"] = recipe_digest(run);
  json["teacher_digest"] = run.pruned_model().digest();
  if (!run.recipe().data.train.empty()) json["data_digest"] = run.data_digest(DataPart::train);
  for (const PluginInfo& plugin : run.registry().plugins()) {
    json["plugins"][plugin.name] = {{"version", plugin.version}, {"digest", digest_of_file(plugin.path)}};
  }
  if (!run.recipe().prune.empty()) {
    const nlohmann::json plan = read_json(run.files().plan());
    json["scores_digest"] = run.output_of("score");
    if (run.recipe().search) json["search_digest"] = run.output_of("search");
    json["selections"] = plan.at("selections");
    json["layer_of"] = plan.at("layer_of");
    for (const nlohmann::json& axis : plan.at("axes")) {  // whose units are not whole layers
      if (axis.contains("part")) json["parts"][axis.at("name").get<std::string>()] = axis.at("part");
    }
  }
  return json;
}

}  // namespace espalier
