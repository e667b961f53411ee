// SPDX-License-Identifier: Apache-2.0
#include "core/cli/command_line.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <iostream>

#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/base/progress.hpp"
#include "core/base/strings.hpp"
#include "core/comm/launch.hpp"
#include "core/plugin/loader.hpp"
#include "core/run/training_check.hpp"

namespace espalier {

const std::vector<Verb>& verbs() {
  static const std::vector<Verb> list = {
      {"run", "RECIPE", "the whole pipeline; goes on where it stopped", verb_run, true},
      {"plan", "RECIPE", "exact shapes, parameter counts and bytes; reads no weights", verb_plan},
      {"sweep", "RECIPE", "every arm × seed of its [sweep], sharing what they share; then compares", verb_sweep},
      {"score", "RECIPE", "the pipeline up to the scores", verb_score, true},
      {"prune", "RECIPE", "the pipeline up to the verified student", verb_prune, true},
      {"distill", "RECIPE", "the pipeline up to the distilled student", verb_distill, true},
      {"eval", "MODEL... --data DATA --task FILE --generate TEXT --speed",
       "nll, perplexity, bits per byte, choice tasks, text and speed of any checkpoints", verb_eval},
      {"compare", "PATH...", "what runs, seeds and arms cost and reached, and which arm is better", verb_compare},
      {"verify", "RUN", "derives again what a run claims: digests, kept units, masked = sliced", verb_verify},
      {"inspect", "PATH", "what a checkpoint, scores, plan, token file, plugin or run holds", verb_inspect},
      {"pack", "IN... -o PREFIX", "text or JSONL to packed tokens", verb_pack},
      {"plugins", "list | show | new | check", "the components that recipes can name; begins and checks a plugin",
       verb_plugins},
      {"doctor", "", "what this machine can do, and what is missing", verb_doctor},
  };
  return list;
}

namespace {

const Verb& verb_named(const std::string& name) {
  return *std::find_if(verbs().begin(), verbs().end(), [&](const Verb& verb) { return name == verb.name; });
}

std::vector<std::string> long_names(const po::options_description& description) {
  std::vector<std::string> names;
  for (const auto& option : description.options()) names.push_back(option->long_name());
  return names;
}

// What a launcher says of this process. A verb of one process is not disturbed by an environment that says half of it.
Launch launch_of(const Verb& verb) {
  if (verb.on_ranks) return this_launch();
  Launch launch;
  try {
    launch = this_launch();
  } catch (const Error&) {
    return launch;
  }
  if (launch.size > 1) {
    if (launch.rank > 0) throw ToldElsewhere();
    reject(
        "espalier {}: works in one process; got {} processes from {}; expected espalier run, score, prune or distill "
        "there",
        verb.name, launch.size, launch.launcher);
  }
  return launch;
}

}  // namespace

CommandLine::CommandLine(const std::string& verb, const po::options_description& own,
                         const std::vector<std::string>& positional)
    : verb_(verb), visible_("options") {
  visible_.add(own);
  // clang-format off
  visible_.add_options()
      ("help,h", "show this text")
      ("json", "print the result as JSON on stdout")
      ("set", po::value<std::vector<std::string>>()->composing(), "key.sub=value over the recipe; may be repeated")
      ("device", po::value<std::string>()->default_value("cpu"), "cpu or cuda")
      ("threads", po::value<std::int64_t>()->default_value(0), "CPU threads; 0: one per core, divided among ranks. Bytes repeat for equal numbers of threads")
      ("log-level", po::value<std::string>()->default_value("info"), "debug, info, warning, error or off");
  // clang-format on
  for (const std::string& name : positional) {
    const bool repeats = name.ends_with("...");
    const std::string plain = repeats ? name.substr(0, name.size() - 3) : name;
    positional_names_.push_back(plain);
    hidden_.add_options()(plain.c_str(), po::value<std::vector<std::string>>(), "");
    positional_.add(plain.c_str(), repeats ? -1 : 1);
  }
}

bool CommandLine::parse(const Arguments& arguments) {
  po::options_description all;
  all.add(visible_).add(hidden_);
  try {
    const auto style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    po::store(po::command_line_parser(arguments).options(all).positional(positional_).style(style).run(), values_);
  } catch (const po::unknown_option& error) {
    std::string name = error.get_option_name();
    name.erase(0, name.find_first_not_of('-'));
    reject("espalier {}: unknown option; got '--{}'{}; see espalier {} --help", verb_, name,
           did_you_mean(name, long_names(visible_)), verb_);
  } catch (const po::error& error) {
    reject("espalier {}: {}; see espalier {} --help", verb_, error.what(), verb_);
  }
  if (has("help")) {
    const Verb& verb = verb_named(verb_);
    std::cout << "espalier " << verb.name << " " << verb.arguments << " [options]\n  " << verb.summary << "\n\n"
              << visible_;
    return false;
  }
  for (const std::string& name : positional_names_) {
    if (!has(name))
      reject("espalier {}: {} is missing; expected espalier {} {}", verb_, name, verb_, verb_named(verb_).arguments);
  }
  const Launch launch = launch_of(verb_named(verb_));
  start_log(launch.rank == 0 ? get("log-level") : "error");
  if (json() || launch.rank > 0) ProgressBar::disable();
  const std::int64_t threads = number("threads");
  if (threads < 0 || threads > 4096) reject("--threads: out of range; got {}; expected 0 to 4096", threads);
  at::set_num_threads(static_cast<int>(threads > 0 ? threads : share_of_cpus(launch)));
  return true;
}

std::vector<std::string> CommandLine::all(const std::string& name) const {
  return has(name) ? values_[name].as<std::vector<std::string>>() : std::vector<std::string>{};
}

void print_json(const nlohmann::json& json) { std::cout << json.dump(2) << std::endl; }

void load_plugins(const std::vector<fs::path>& plugins, Registry& registry, Diagnostics& diagnostics) {
  try {
    load_plugins(plugins, registry);
  } catch (const Error& error) {
    if (diagnostics.empty()) throw;
    diagnostics.note(error.what());  // the recipe's own mistakes come first
    diagnostics.throw_if_any();
  }
}

void check_components(const Recipe& recipe, const Registry& registry, Diagnostics& diagnostics) {
  const auto check = [&](const Component& component) {
    if (component) registry.check(*component, diagnostics);
  };
  for (const PruneBlock& block : recipe.prune) {
    check(block.axis);
    check(block.metric);
  }
  for (const auto* train : {&recipe.correct, &recipe.distill}) {
    if (!*train) continue;
    for (const LossBlock& loss : (*train)->losses) check(loss.loss);
    check((*train)->scheduler);
  }
  check_losses(recipe, registry, diagnostics);
}

LoadedRecipe load_recipe(const std::string& file, const Overrides& overrides) {
  Diagnostics diagnostics;
  LoadedRecipe loaded{parse_recipe(file, overrides, diagnostics), std::make_unique<Registry>()};
  load_plugins(loaded.recipe.plugins, *loaded.registry, diagnostics);
  check_components(loaded.recipe, *loaded.registry, diagnostics);
  diagnostics.throw_if_any();
  return loaded;
}

}  // namespace espalier
