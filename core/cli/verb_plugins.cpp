// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/cli/command_line.hpp"
#include "core/cli/new_plugin.hpp"
#include "core/plugin/describe.hpp"
#include "core/plugin/loader.hpp"

namespace espalier {
namespace {

// A component that cannot be registered beside those that are here would be found out only after the build.
void check_free(const NewPlugin& wanted, const Registry& registry) {
  const std::string kind = wanted.kind == "feature-loss" ? "loss" : wanted.kind;
  const std::string file = "lib" + wanted.name + ".so";
  for (const ComponentInfo& component : registry.components()) {
    const bool same_file = fs::path(component.plugin.path).filename() == file;
    if (!same_file && (component.kind != kind || component.name != wanted.name)) continue;
    reject(
        "espalier plugins new: the name is taken; got '{}', which is {} of plugin {} {}; expected a new one: 'my_{}'",
        wanted.name, same_file ? "the library" : "a " + kind, component.plugin.name, component.plugin.version,
        wanted.name);
  }
}

int new_plugin(const CommandLine& line, const std::vector<std::string>& words, const Registry& registry) {
  if (words.size() != 3)
    reject("espalier plugins new: a kind and a name are needed; got {} words; expected espalier plugins new KIND NAME",
           words.size() - 1);
  const NewPlugin wanted{words[1], words[2], line.has("output") ? line.get("output") : words[2], line.has("cuda")};
  check_new_plugin(wanted);
  check_free(wanted, registry);
  const std::vector<std::string> files = write_new_plugin(wanted);
  if (line.json()) {
    print_json({{"kind", wanted.kind}, {"name", wanted.name}, {"folder", wanted.folder.string()}, {"files", files}});
    return 0;
  }
  std::cout << fmt::format("{}: {} '{}' in {}\n\n", wanted.folder.string(), wanted.kind, wanted.name, join(files, ", "))
            << fmt::format("  cd {}\n  cmake -B build -DCMAKE_PREFIX_PATH={}\n  cmake --build build\n",
                           wanted.folder.string(), package_prefix().string())
            << "  ctest --test-dir build --output-on-failure\n  espalier run recipe.toml\n";
  return 0;
}

}  // namespace

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
  if (words[0] == "new") return new_plugin(line, words, registry);
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
