// SPDX-License-Identifier: Apache-2.0
// Sweeps over a teacher from random weights, as text, with the in-tree plugins.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "core/base/files.hpp"
#include "core/plugin/loader.hpp"
#include "core/sweep/expand.hpp"
#include "tests/support/temporary_folder.hpp"

namespace espalier::test {

inline const Registry& plugins() {
  static const std::unique_ptr<Registry> registry = [] {
    auto made = std::make_unique<Registry>();
    for (const char* name : {"axes", "importance", "losses", "schedulers"})
      load_plugin(fs::path(ESPALIER_BINARY_DIR) / "plugins" / (std::string("lib") + name + ".so"), *made);
    return made;
  }();
  return *registry;
}

// 4 layers of hidden 32, 4 heads in 2 groups of 8, ffn 48. A layer has attention 2·32·32 + 2·32·16 = 3072, an MLP of
// 3·32·48 = 4608, and two norms of 32; the last norm has 32.
inline const std::string kTeacher =
    "[teacher]\nspec = { family = \"llama\", layers = 4, hidden = 32, heads = 4, kv_groups = 2, head_dim = 8, ffn = "
    "48, "
    "vocab = 100 }\n[data]\ntrain = \"t\"\nseq_length = 16\n[distill]\nsteps = 2\nglobal_batch = 2\n";

inline const std::string kDepth =
    "[[sweep.arm]]\nname = \"depth\"\nprune = [ { axis = \"layers\", keep = 3, metric = { "
    "name = \"random\" } } ]\n";
inline const std::string kWidth =
    "[[sweep.arm]]\nname = \"width\"\nfree = \"ffn\"\nprune = [ { axis = \"hidden\", keep "
    "= 24, metric = { name = \"random\" } }, { axis = \"ffn\", metric = { name = "
    "\"random\" } } ]\n";

inline Sweep expanded(const std::string& text) {
  const TemporaryFolder folder;
  write_text(folder / "r.toml", text);
  Diagnostics diagnostics;
  SweepRecipe recipe = parse_sweep(folder / "r.toml", {}, diagnostics);
  REQUIRE_MESSAGE(diagnostics.empty(), diagnostics.text());
  return expand(std::move(recipe), plugins(), {at::kFloat, at::kCPU});
}

inline std::string refusal(const std::string& text) {
  const TemporaryFolder folder;
  write_text(folder / "r.toml", text);
  const std::string prefix = (folder / "r.toml").string();
  Diagnostics diagnostics;
  SweepRecipe recipe = parse_sweep(folder / "r.toml", {}, diagnostics);
  REQUIRE_MESSAGE(diagnostics.empty(), diagnostics.text());
  std::string told;
  try {
    expand(std::move(recipe), plugins(), {at::kFloat, at::kCPU});
  } catch (const RecipeError& error) {
    told = error.what();
  }
  for (std::size_t at; (at = told.find(prefix)) != std::string::npos;) told.replace(at, prefix.size(), "r.toml");
  return told;
}

}  // namespace espalier::test
