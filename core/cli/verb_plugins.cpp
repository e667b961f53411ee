// SPDX-License-Identifier: Apache-2.0
#include <ATen/Parallel.h>

#include <iostream>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/check/check.hpp"
#include "core/cli/command_line.hpp"
#include "core/plugin/describe.hpp"
#include "core/plugin/loader.hpp"

namespace espalier {
namespace {

int with_components(const CommandLine& line, const std::vector<std::string>& words) {
  const std::string &action = words[0], name = words.size() > 1 ? words[1] : "";
  Registry registry;
  std::vector<fs::path> named;
  for (const std::string& path : line.all("plugin")) named.emplace_back(path);
  load_plugins(named, registry);
  if (action == "new") return plugins_new(line, words, registry);
  if (action == "list") {
    line.json() ? print_json(plugins_json(registry, "")) : void(std::cout << plugins_list_text(registry));
  } else {
    const auto text = line.has("markdown") ? plugins_show_markdown : plugins_show_text;
    line.json() ? print_json(plugins_json(registry, name)) : void(std::cout << text(registry, name));
  }
  return 0;
}

// Exit code 1 when a promise is broken, as for any plugin that cannot be used.
int check(const CommandLine& line, const std::string& library) {
  if (line.number("threads") == 0) at::set_num_threads(1);  // the models are tiny
  const PluginCheck result = check_plugin(library, line.get("only"), line.all("except"));
  line.json() ? print_json(check_json(result)) : void(std::cout << check_text(result));
  return result.ok() ? 0 : 1;
}

}  // namespace

int verb_plugins(const Arguments& arguments) {
  po::options_description own;
  // clang-format off
  own.add_options()
      ("plugin", po::value<std::vector<std::string>>()->composing(), "a library besides the search path; may be repeated")
      ("markdown", "show: as a page of documentation")
      ("only", po::value<std::string>(), "check: one component of the library")
      ("except", po::value<std::vector<std::string>>()->composing(), "check: a property that need not hold; may be repeated")
      ("output,o", po::value<std::string>(), "new: the project's folder; NAME when absent")
      ("cuda", "new: with a kernel for the GPU");
  // clang-format on
  CommandLine line("plugins", own, {"ACTION..."});
  if (!line.parse(arguments)) return 0;
  const std::vector<std::string> words = line.all("ACTION");
  const std::string &action = words[0], name = words.size() > 1 ? words[1] : "";
  if (words.size() > 2 && action != "new")
    reject("espalier plugins: too many words; got '{}'; expected list, show, show NAME, check FILE or new KIND NAME",
           words[2]);
  if (line.has("only") && action != "check")
    reject("espalier plugins {}: --only belongs to check; got --only {}", action, line.get("only"));
  if (line.has("except") && action != "check")
    reject("espalier plugins {}: --except belongs to check; got --except {}", action, line.all("except").front());
  if (action == "check") {
    if (name.empty()) reject("espalier plugins check: no library; expected espalier plugins check FILE");
    return check(line, name);
  }
  if (action != "show" && action != "new" && (action != "list" || !name.empty())) {
    reject("espalier plugins: unknown action; got '{}'; expected 'list', 'show', 'new' or 'check'{}", action,
           did_you_mean(action, {"list", "show", "new", "check"}));
  }
  return with_components(line, words);
}

}  // namespace espalier
