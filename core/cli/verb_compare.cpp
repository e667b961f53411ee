// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "core/cli/command_line.hpp"
#include "core/report/comparison.hpp"

namespace espalier {

int verb_compare(const Arguments& arguments) {
  CommandLine line("compare", po::options_description(), {"RUN..."});
  if (!line.parse(arguments)) return 0;
  std::vector<RunSummary> runs;
  for (const std::string& run : line.all("RUN")) runs.push_back(summarize(run));
  if (line.json()) {
    print_json(comparison_json(runs));
    return 0;
  }
  std::cout << comparison_text(runs);
  if (const std::string sentence = comparison_sentence(runs); !sentence.empty()) std::cout << "\n" << sentence << "\n";
  return 0;
}

}  // namespace espalier
