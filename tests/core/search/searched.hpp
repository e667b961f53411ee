// SPDX-License-Identifier: Apache-2.0
// A recipe's [search] and its [[prune]] blocks as text, over the axes of the in-tree library, without a run.
#pragma once

#include <doctest/doctest.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "core/plugin/loader.hpp"
#include "core/search/candidates.hpp"
#include "tests/support/temporary_folder.hpp"

namespace espalier::test {

class QuietHost final : public Host {
 public:
  std::uint64_t seed() const override { return 7; }
  void info(const std::string&) const override {}
  void warn(const std::string&) const override {}
};

inline const Registry& axes_registry() {
  static const std::unique_ptr<Registry> registry = [] {
    auto made = std::make_unique<Registry>();
    load_plugin(fs::path(ESPALIER_BINARY_DIR) / "plugins" / "libaxes.so", *made);
    return made;
  }();
  return *registry;
}

// Owns what the steps point at.
class Searched {
 public:
  // `blocks`: lines of each [[prune]] block but its metric, in order. `search`: the lines of [search].
  Searched(const std::vector<std::string>& blocks, const std::string& search) {
    std::string text = "[teacher]\npath = \"t\"\n[search]\n" + search;
    for (const std::string& block : blocks) text += "[[prune]]\n" + block + "\nmetric = { name = \"m\" }\n";
    const TemporaryFolder folder;
    std::ofstream(folder / "r.toml", std::ios::binary) << text;
    Diagnostics diagnostics;
    recipe = parse_recipe(folder / "r.toml", {}, diagnostics);
    REQUIRE_MESSAGE(diagnostics.empty(), diagnostics.text());
    prefix_ = (folder / "r.toml").string();
    static const QuietHost host;
    for (const PruneBlock& block : recipe.prune) {
      axes_.push_back(axes_registry().axis(*block.axis, host));
      steps.push_back({axes_.back().get(), &block, block.axis->name, nullptr});
    }
  }

  Candidates candidates(const ModelSpec& teacher, const CountBasis& basis = {2, 4096}) const {
    Diagnostics diagnostics;
    Candidates all = find_candidates(teacher, steps, *recipe.search, basis, diagnostics);
    REQUIRE_MESSAGE(diagnostics.empty(), diagnostics.text());
    return all;
  }

  // All problems, the file called r.toml.
  std::string problems(const ModelSpec& teacher, const CountBasis& basis = {2, 4096}) const {
    Diagnostics diagnostics;
    CHECK(find_candidates(teacher, steps, *recipe.search, basis, diagnostics).list.empty());
    std::string text = diagnostics.text();
    for (std::size_t at; (at = text.find(prefix_)) != std::string::npos;) text.replace(at, prefix_.size(), "r.toml");
    return text;
  }

  Recipe recipe;
  std::vector<PruneStep> steps;

 private:
  std::string prefix_;
  std::vector<std::unique_ptr<PruningAxis>> axes_;
};

// Nemotron-4 15B (minitron.md section 6.1): squared-ReLU MLP, LayerNorm1P, untied.
inline ModelSpec nemotron_15b() {
  ModelSpec spec;
  spec.family = "nemotron";
  spec.hidden = 6144;
  spec.vocab = 256000;
  spec.max_positions = 4096;
  spec.norm = Norm::layernorm_1p;
  spec.activation = Activation::relu2;
  spec.gated = false;
  spec.rope.partial = 0.5;
  spec.layers.assign(32, {.kv_groups = 8, .heads_per_group = 6, .head_dim = 128, .ffn = 24576});
  return spec;
}

// Small enough to count by hand: llama, 4 layers of 4 heads in 2 groups.
inline ModelSpec small_llama() {
  ModelSpec spec;
  spec.family = "llama";
  spec.hidden = 32;
  spec.vocab = 100;
  spec.max_positions = 64;
  spec.layers.assign(4, {.kv_groups = 2, .heads_per_group = 2, .head_dim = 8, .ffn = 48});
  return spec;
}

// layers/heads/ffn/hidden, as minitron.md section 4 writes shapes.
inline std::string shape_of(const ModelSpec& spec) {
  return fmt::format("{}/{}/{}/{}", spec.layers.size(), spec.layers.front().heads(), spec.layers.front().ffn,
                     spec.hidden);
}

}  // namespace espalier::test
