// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "core/base/error.hpp"
#include "core/cli/command_line.hpp"
#include "core/cli/inspect.hpp"

namespace espalier {

namespace {

// JSON as indented lines of "key: value", short lists on one line.
void print_tree(const nlohmann::json& tree, int depth) {
  for (const auto& [key, value] : tree.items()) {
    const std::string indent(static_cast<std::size_t>(2 * depth), ' ');
    const std::string flat = value.dump();
    if (value.is_structured() && !value.empty() && flat.size() > 100) {
      std::cout << indent << key << ":\n";
      print_tree(value, depth + 1);
    } else {
      std::cout << indent << key << ": " << (value.is_string() ? value.get<std::string>() : flat) << "\n";
    }
  }
}

}  // namespace

int verb_inspect(const Arguments& arguments) {
  po::options_description own;
  own.add_options()("token-type", po::value<std::string>()->default_value(""),
                    "uint8, uint16 or int32, for a raw .bin");
  CommandLine line("inspect", own, {"PATH"});
  if (!line.parse(arguments)) return 0;
  const nlohmann::json result = inspect(line.all("PATH").front(), line.get("token-type"));
  if (line.json()) {
    print_json(result);
  } else {
    print_tree(result, 0);
  }
  return 0;
}

}  // namespace espalier
