// SPDX-License-Identifier: Apache-2.0
// What all verbs share: options, the table of verbs, output for people and for scripts.
#pragma once

#include <boost/program_options.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/plugin/registry.hpp"
#include "core/recipe/recipe.hpp"

namespace espalier {

namespace po = boost::program_options;

using Arguments = std::vector<std::string>;

// A verb of the program: `espalier NAME …`.
struct Verb {
  const char* name;
  const char* arguments;  // for the usage line
  const char* summary;
  int (*run)(const Arguments& arguments);  // exit code
  bool on_ranks = false;                   // may mpirun, srun or torchrun start several processes of it?
};

const std::vector<Verb>& verbs();

// Options that every verb has, parsed the same way everywhere.
class CommandLine {
 public:
  // `own` are the verb's options; `positional` names them in order, the last may repeat when it ends with "...".
  CommandLine(const std::string& verb, const po::options_description& own, const std::vector<std::string>& positional);

  // False when --help was asked for and printed. Sets log level, threads and progress. RecipeError on bad arguments.
  bool parse(const Arguments& arguments);

  bool has(const std::string& name) const { return values_.count(name) > 0; }
  std::string get(const std::string& name) const { return has(name) ? values_[name].as<std::string>() : ""; }
  std::vector<std::string> all(const std::string& name) const;
  std::int64_t number(const std::string& name) const { return values_[name].as<std::int64_t>(); }
  double real(const std::string& name) const { return values_[name].as<double>(); }
  bool json() const { return values_.count("json") > 0; }
  std::string device() const { return get("device"); }
  Overrides overrides() const { return all("set"); }

 private:
  std::string verb_;
  std::vector<std::string> positional_names_;
  po::options_description visible_, hidden_;
  po::positional_options_description positional_;
  po::variables_map values_;
};

// Prints a JSON result to stdout.
void print_json(const nlohmann::json& json);

// Reads a recipe, loads its plugins, checks every component; all problems come out together (RecipeError).
struct LoadedRecipe {
  Recipe recipe;
  std::unique_ptr<Registry> registry;
};
LoadedRecipe load_recipe(const std::string& file, const Overrides& overrides);
// Its two steps. A library that cannot be loaded is an Error; told as a note where the recipe has mistakes of its own.
void load_plugins(const std::vector<fs::path>& plugins, Registry& registry, Diagnostics& diagnostics);
void check_components(const Recipe& recipe, const Registry& registry, Diagnostics& diagnostics);

// The verbs, one source file each.
int verb_run(const Arguments& arguments);
int verb_sweep(const Arguments& arguments);
int verb_score(const Arguments& arguments);
int verb_prune(const Arguments& arguments);
int verb_distill(const Arguments& arguments);
int verb_plan(const Arguments& arguments);
int verb_eval(const Arguments& arguments);
int verb_compare(const Arguments& arguments);
int verb_verify(const Arguments& arguments);
int verb_inspect(const Arguments& arguments);
int verb_pack(const Arguments& arguments);
int verb_plugins(const Arguments& arguments);
int plugins_new(const CommandLine& line, const std::vector<std::string>& words, const Registry& registry);
int verb_doctor(const Arguments& arguments);

}  // namespace espalier
