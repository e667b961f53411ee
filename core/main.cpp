// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iostream>

#include "core/base/crash.hpp"
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/memory.hpp"
#include "core/base/strings.hpp"
#include "core/cli/command_line.hpp"

namespace {

using namespace espalier;

int usage() {
  std::cout << "espalier " ESPALIER_VERSION ": prunes language models and distils them\n\nespalier VERB …\n";
  for (const Verb& verb : verbs())
    std::cout << fmt::format("  {:<9}{:<34}{}\n", verb.name, verb.arguments, verb.summary);
  std::cout << "\nEvery verb explains itself: espalier VERB --help\n";
  return 0;
}

int dispatch(const Arguments& arguments) {
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "help") return usage();
  if (arguments[0] == "--version") return std::cout << "espalier " ESPALIER_VERSION "\n", 0;
  std::vector<std::string> names;
  for (const Verb& verb : verbs()) {
    if (arguments[0] == verb.name) return verb.run(Arguments(arguments.begin() + 1, arguments.end()));
    names.emplace_back(verb.name);
  }
  reject("espalier: unknown verb; got '{}'; expected {}{}", arguments[0], any_of(names),
         did_you_mean(arguments[0], names));
}

}  // namespace

// Exit codes: 0 done, 1 environment, 2 the user's recipe or command line.
int main(int argc, char** argv) {
  report_crashes();
  keep_freed_memory();
  try {
    return dispatch(Arguments(argv + 1, argv + argc));
  } catch (const ToldElsewhere&) {
    return 2;
  } catch (const RecipeError& error) {
    std::cerr << (std::string(error.what()).find("error: ") == std::string::npos ? "error: " : "") << error.what()
              << "\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
}
