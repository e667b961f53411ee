// SPDX-License-Identifier: Apache-2.0
#include "core/recipe/sweep_agreement.hpp"

#include <algorithm>

#include "core/base/strings.hpp"

namespace espalier {
namespace {

// The training that makes what is compared.
const TrainBlock* training(const Recipe& recipe) {
  if (recipe.distill) return &*recipe.distill;
  return recipe.correct ? &*recipe.correct : nullptr;
}

std::string sources(const std::vector<SourceBlock>& list) {
  std::vector<std::string> texts;
  for (const SourceBlock& source : list)
    texts.push_back(source.weight ? fmt::format("{} × {}", source.path, *source.weight) : source.path);
  return texts.empty() ? "none" : join(texts, ", ");
}

struct Term {
  const char* table;
  std::vector<const char*> keys;  // where it may be written, the first names it
  std::string (*text)(const Recipe& recipe);
};

const std::vector<Term>& terms() {
  static const std::vector<Term> list = {
      {"distill",
       {"tokens", "steps"},
       [](const Recipe& recipe) {
         const TrainBlock* block = training(recipe);
         return with_commas(block ? block->total_steps() * block->tokens_per_step() : 0) + " tokens of training";
       }},
      {"distill",
       {"global_batch"},
       [](const Recipe& recipe) {
         const TrainBlock* block = training(recipe);
         return block ? fmt::format("{} sequences", block->global_batch) : std::string("no training");
       }},
      {"data", {"seq_length"}, [](const Recipe& recipe) { return std::to_string(recipe.data.seq_length); }},
      {"data", {"train"}, [](const Recipe& recipe) { return sources(recipe.data.train); }},
      {"data", {"valid"}, [](const Recipe& recipe) { return sources(recipe.data.valid); }},
      {"data", {"valid_fraction"}, [](const Recipe& recipe) { return fmt::format("{}", recipe.data.valid_fraction); }},
      {"data", {"tokenizer"}, [](const Recipe& recipe) { return to_text(Value{recipe.data.tokenizer}); }},
      {"data", {"token_type"}, [](const Recipe& recipe) { return to_text(Value{recipe.data.token_type}); }},
      {"data", {"deduplicate"}, [](const Recipe& recipe) { return to_text(Value{recipe.data.deduplicate}); }},
      {"eval", {"windows"}, [](const Recipe& recipe) { return std::to_string(recipe.eval.windows); }},
      {"eval", {"seq_length"}, [](const Recipe& recipe) { return std::to_string(recipe.eval.seq_length); }},
  };
  return list;
}

Where place_of(const TomlNode& tree, const Term& term) {
  const TomlEntry* table = tree.find(term.table);
  for (const char* key : term.keys) {
    const TomlEntry* entry = table ? table->node.find(key) : nullptr;
    if (entry) return entry->node.where;
  }
  return {};
}

bool written_at(const Where& where) { return where.line != 0 || !where.file.empty(); }
// Of two arms one has moved away from the recipe around them: its place is the one to look at.
Where place_of_difference(const Where& arm, const Where& reference, const Where& base) {
  if (written_at(arm) && arm != base) return arm;
  return written_at(reference) && reference != base ? reference : arm;
}

}  // namespace

void check_agreement(const SweepRecipe& sweep, const std::string& reference, const std::vector<TomlNode>& trees,
                     const TomlNode& base, Diagnostics& diagnostics) {
  const auto found = std::find_if(sweep.arms.begin(), sweep.arms.end(),
                                  [&](const ArmRecipe& arm) { return arm.arm.name == reference; });
  if (found == sweep.arms.end()) return;
  const TomlNode& reference_tree = trees[static_cast<std::size_t>(found - sweep.arms.begin())];
  for (std::size_t i = 0; i < sweep.arms.size(); ++i) {
    const ArmRecipe& arm = sweep.arms[i];
    for (const Term& term : terms()) {
      const std::string expected = term.text(found->recipe), got = term.text(arm.recipe);
      if (got == expected) continue;
      Where where = place_of_difference(place_of(trees[i], term), place_of(reference_tree, term), place_of(base, term));
      if (!written_at(where)) where = arm.arm.where;
      diagnostics.error(where, "sweep",
                        fmt::format("arms that match must agree in {}.{}, and '{}' does not", term.table,
                                    term.keys.front(), arm.arm.name),
                        got, fmt::format("{}, as in '{}'", expected, reference));
    }
  }
}

}  // namespace espalier
