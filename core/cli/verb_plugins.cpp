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
  // clang-format off
  own.add_options()
      ("plugin", po::value<std::vector<std::string>>()->composing(), "a library besides the search path; may be repeated")
      ("markdown", "show: as a page of documentation")
      ("output,o", po::value<std::string>(), "new: the project's folder; NAME when absent")
      ("cuda", "new: with a kernel for the GPU");
  // clang-format on
  CommandLine line("plugins", own, {"ACTION..."});
  if (!line.parse(arguments)) return 0;
  const std::vector<std::string> words = line.all("ACTION");
  Registry registry;
  std::vector<fs::path> named;
  for (const std::string& path : line.all("plugin")) named.emplace_back(path);
  load_plugins(named, registry);
  if (words[0] == "new") return plugins_new(line, words, registry);
  const std::string name = words.size() > 1 ? words[1] : "";
  if (words.size() > 2)
    reject("espalier plugins: too many words; got '{}'; expected list, show or show NAME", words[2]);
  if (words[0] == "list" && name.empty()) {
    line.json() ? print_json(plugins_json(registry, "")) : void(std::cout << plugins_list_text(registry));
  } else if (words[0] == "show") {
    const auto text = line.has("markdown") ? plugins_show_markdown : plugins_show_text;
    line.json() ? print_json(plugins_json(registry, name)) : void(std::cout << text(registry, name));
  } else {
    const std::vector<std::string> actions = {"list", "show", "new"};
    reject("espalier plugins: unknown action; got '{}'; expected {}{}", words[0], any_of(actions),
           did_you_mean(words[0], actions));
  }
  return 0;
}

}  // namespace espalier
