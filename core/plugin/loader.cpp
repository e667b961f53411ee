// SPDX-License-Identifier: Apache-2.0
#include "core/plugin/loader.hpp"

#include <boost/dll/runtime_symbol_info.hpp>
#include <boost/dll/shared_library.hpp>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <set>
#include <string>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/base/strings.hpp"
#include "core/plugin/abi_check.hpp"
#include "core/plugin/guarded.hpp"

namespace espalier {
namespace {

constexpr const char* kEntry = "espalier_plugin";

// Libraries stay open until the process ends, and even then nobody closes them: LibTorch keeps pointers into code that
// was loaded after it, and instances may be alive anywhere.
std::vector<boost::dll::shared_library>& open_libraries() {
  static auto* libraries = new std::vector<boost::dll::shared_library>();
  return *libraries;
}

// Boost wraps dlerror's text: "… (dlerror system message: TEXT): Bad file descriptor".
std::string linker_message(const std::string& text) {
  const std::string before = "dlerror system message: ";
  const std::size_t begin = text.find(before);
  if (begin == std::string::npos) return text;
  const std::size_t end = text.rfind("): ");
  const std::size_t from = begin + before.size();
  return text.substr(from, end == std::string::npos || end < from ? std::string::npos : end - from);
}

bool lacks_torch_symbol(const std::string& message) {
  const std::size_t begin = message.find("undefined symbol: ");
  if (begin == std::string::npos) return false;
  const std::string symbol = message.substr(begin);
  for (const char* space : {"_ZN2at", "_ZNK2at", "_ZN3c10", "_ZNK3c10", "_ZN5torch", "_ZNK5torch"}) {
    if (symbol.find(space) != std::string::npos) return true;
  }
  return false;
}

boost::dll::shared_library open(const fs::path& library) {
  try {
    return boost::dll::shared_library(fs::absolute(library).string(),
                                      boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
  } catch (const std::exception& error) {
    const std::string message = linker_message(error.what());
    fail("{}: cannot be loaded; got {}{}", library.string(), message,
         lacks_torch_symbol(message)
             ? "\n  note: probably built against another LibTorch (this program has " ESPALIER_TORCH_VERSION ")"
             : "");
  }
}

const PluginDescriptor& descriptor(const boost::dll::shared_library& opened, const fs::path& library) {
  if (!opened.has(kEntry)) {
    fail("{}: has no entry; expected the symbol {}, which ESPALIER_PLUGIN(…) defines and exports", library.string(),
         kEntry);
  }
  const auto& plugin = opened.get<const PluginDescriptor>(kEntry);
  const auto wrong = [&](const char* what, std::uint32_t got, std::uint32_t expected) {
    fail("{}: the entry's {} is wrong; got {}; expected {}", library.string(), what, got, expected);
  };
  if (plugin.magic != kPluginMagic) wrong("magic number", plugin.magic, kPluginMagic);
  if (plugin.size != sizeof(PluginDescriptor)) wrong("size", plugin.size, sizeof(PluginDescriptor));
  if (plugin.abi != kAbi) wrong("abi", plugin.abi, kAbi);
  if (!plugin.name || !*plugin.name || !plugin.version || !plugin.register_components) {
    fail("{}: the entry is incomplete; expected a name, a version and a function", library.string());
  }
  return plugin;
}

bool holds(const Registry& registry, const fs::path& library) {
  std::error_code error;
  for (const PluginInfo& plugin : registry.plugins()) {
    if (fs::equivalent(plugin.path, library, error) && !error) return true;
  }
  return false;
}

bool looks_like_plugin(const fs::path& file) {
  const std::string name = file.filename().string();
  return name.starts_with("lib") && name.ends_with(".so") && name.size() > 6;
}

std::vector<fs::path> libraries_in(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (looks_like_plugin(entry->path())) found.push_back(entry->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// A bare name is looked for; anything with a folder or an ending is a path.
fs::path resolve(const fs::path& named) {
  const bool bare = !named.has_parent_path() && !named.has_extension();
  const fs::path file = bare ? fs::path("lib" + named.string() + ".so") : named;
  std::error_code error;
  if (!bare && fs::exists(file, error)) return file;
  std::string searched;
  for (const fs::path& folder : plugin_search_path()) {
    if (bare && fs::exists(folder / file, error)) return folder / file;
    searched += "\n         " + folder.string();
  }
  if (!bare)
    fail("{}: no such plugin; got no file {}; expected a path to a library, or a bare name that is searched for",
         named.string(), fs::absolute(named).lexically_normal().string());
  fail("{}: no such plugin; expected {} in one of{}", named.string(), file.string(), searched);
}

}  // namespace

void load_plugin(const fs::path& library, Registry& registry) {
  if (holds(registry, library)) return;
  check_stamp(library);
  open_libraries().push_back(open(library));
  const PluginDescriptor& plugin = descriptor(open_libraries().back(), library);
  registry.begin_plugin({plugin.name, plugin.version, library.string()});
  try {
    in_plugin(fmt::format("{}: plugin {} {} failed to register its components", library.string(), plugin.name,
                          plugin.version),
              [&] { plugin.register_components(registry); });
  } catch (...) {
    registry.cancel_plugin();
    throw;
  }
}

std::vector<fs::path> plugin_search_path() {
  std::vector<fs::path> folders;
  for (const std::string& folder : parts_of_variable("ESPALIER_PLUGIN_PATH")) folders.emplace_back(folder);
  const char* data = std::getenv("XDG_DATA_HOME");
  const char* home = std::getenv("HOME");
  if (data && *data) {
    folders.push_back(fs::path(data) / "espalier/plugins");
  } else if (home && *home) {
    folders.push_back(fs::path(home) / ".local/share/espalier/plugins");
  }
  const fs::path program = fs::path(boost::dll::program_location().string()).parent_path();
  folders.push_back(program / "plugins");
  folders.push_back(program.parent_path() / "lib/espalier/plugins");
  return folders;
}

void load_plugins(const std::vector<fs::path>& named, Registry& registry) {
  std::vector<fs::path> wanted;
  std::set<std::string> taken;
  for (const fs::path& plugin : named) {
    wanted.push_back(resolve(plugin));
    taken.insert(wanted.back().filename().string());
  }
  for (const fs::path& folder : plugin_search_path()) {
    for (const fs::path& library : libraries_in(folder)) {
      if (!taken.insert(library.filename().string()).second) continue;
      try {
        load_plugin(library, registry);
      } catch (const Error& error) {
        spdlog::warn("a plugin of the search path is left out: {}", error.what());
      }
    }
  }
  for (const fs::path& library : wanted) load_plugin(library, registry);
}

}  // namespace espalier
