// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/cli/command_line.hpp"
#include "core/scaffold/new_plugin.hpp"

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

}  // namespace

int plugins_new(const CommandLine& line, const std::vector<std::string>& words, const Registry& registry) {
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

}  // namespace espalier
