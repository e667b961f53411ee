// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "core/base/error.hpp"
#include "core/cli/command_line.hpp"
#include "core/run/device.hpp"
#include "core/run/verify_run.hpp"

namespace espalier {

int verb_verify(const Arguments& arguments) {
  CommandLine line("verify", po::options_description(), {"RUN"});
  if (!line.parse(arguments)) return 0;
  const fs::path folder = line.all("RUN").front();
  if (!fs::exists(folder / "recipe.lock.toml")) {
    fail("{}: not a run directory; got no recipe.lock.toml in it; expected the output folder of `espalier run`",
         folder.string());
  }
  Overrides overrides = line.overrides();
  overrides.push_back(fmt::format("output=\"{}\"", folder.string()));  // the run may have been moved
  LoadedRecipe loaded = load_recipe((folder / "recipe.lock.toml").string(), overrides);
  Run run(std::move(loaded.recipe), *loaded.registry, open_device(line.device()));
  const VerifyReport report = verify_run(run);
  if (line.json()) print_json(report_to_json(report));
  if (report.passed() && !line.json()) {
    std::cout << fmt::format(
        "verified: {} tensors equal the teacher's kept parts; {} hidden states equal within {:.1e} on {} tokens\n",
        report.tensors, report.states, report.largest_difference, report.tokens);
  }
  for (const std::string& problem : report.problems)
    std::cerr << "error: " << folder.string() << ": " << problem << "\n";
  return report.passed() ? 0 : 1;
}

}  // namespace espalier
