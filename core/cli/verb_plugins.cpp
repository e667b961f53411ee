// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/cli/command_line.hpp"
#include "core/plugin/describe.hpp"
#include "core/plugin/loader.hpp"

namespace espalier {

int verb_plugins(const Arguments& arguments) {
  po::options_description own;
  own.add_options()("plugin", po::value<std::vector<std::string>>()->composing(),
                    "a library besides the search path; may be repeated");
  CommandLine line("plugins", own, {"ACTION..."});
  if (!line.parse(arguments)) return 0;
  const std::vector<std::string> words = line.all("ACTION");
  Registry registry;
  std::vector<fs::path> named;
  for (const std::string& path : line.all("plugin")) named.emplace_back(path);
  load_plugins(named, registry);
  const std::string name = words.size() > 1 ? words[1] : "";
  if (words.size() > 2)
    reject("espalier plugins: too many words; got '{}'; expected list, show or show NAME", words[2]);
  if (words[0] == "list" && name.empty()) {
    line.json() ? print_json(plugins_json(registry, "")) : void(std::cout << plugins_list_text(registry));
  } else if (words[0] == "show") {
    line.json() ? print_json(plugins_json(registry, name)) : void(std::cout << plugins_show_text(registry, name));
  } else {
    reject("espalier plugins: unknown action; got '{}'; expected 'list' or 'show'{}", words[0],
           did_you_mean(words[0], {"list", "show"}));
  }
  return 0;
}

}  // namespace espalier
