// SPDX-License-Identifier: Apache-2.0
#include "core/recipe/search_reader.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/strings.hpp"

namespace espalier {
namespace {

constexpr const char* kForms = "keep = [ … ], from = … and to = …, or max_removed = …";

bool whole(double number) { return number == std::floor(number) && number < 1e15; }

// Exactly one form of sizes, and no key of another form beside it.
void check_form(TableReader& reader, const SearchAxis& axis) {
  const bool range = reader.has("from") || reader.has("to");
  const int forms = (reader.has("keep") ? 1 : 0) + (range ? 1 : 0) + (reader.has("max_removed") ? 1 : 0);
  if (forms == 0) {
    reader.error("axis", "has no sizes", "'" + axis.axis + "'", kForms);
  } else if (forms > 1) {
    const char* second = range ? (reader.has("from") ? "from" : "to") : "max_removed";
    reader.error(second, fmt::format("and {} exclude each other", reader.has("keep") ? "keep" : "max_removed"), "",
                 kForms);
  } else if (range && !(reader.has("from") && reader.has("to"))) {
    const bool from = reader.has("from");
    reader.error(from ? "from" : "to", fmt::format("has no {}", from ? "to" : "from"), "", "both ends of the range");
  } else if (axis.from && axis.to && *axis.from > *axis.to) {
    reader.error("to", "is below from", std::to_string(*axis.to), fmt::format("{} or more", *axis.from));
  }
  if (reader.has("keep") && reader.has("step")) reader.error("step", "and keep exclude each other", "", "one of them");
  if (reader.has("ratio_of") && !reader.has("keep")) {
    reader.error("ratio_of", "has no multiples", "", "keep = [ … ], how many times that axis's size");
  }
}

// The bounds of a budget: target, or at_least and at_most.
void check_bounds(TableReader& reader, const SearchBudget& budget) {
  const bool target = reader.has("target"), bounds = reader.has("at_least") || reader.has("at_most");
  if (!target && !bounds) {
    reader.error("by", "has no bound", "'" + budget.by + "'", "at_most = …, at_least = …, or target = …");
  } else if (target && bounds) {
    reader.error(reader.has("at_least") ? "at_least" : "at_most", "and target exclude each other", "", "one of them");
  } else if (!target && reader.has("tolerance")) {
    reader.error("tolerance", "has no target", "", "target = …");
  } else if (budget.at_least && budget.at_most && *budget.at_least > *budget.at_most) {
    reader.error("at_most", "is below at_least", fmt::format("{}", *budget.at_most),
                 fmt::format("{} or more", *budget.at_least));
  }
}

// What a number depends on, so that a key which would change nothing is an error.
struct Depends {
  const char* by;
  bool batch, sequence, dtype, bytes;
};
constexpr Depends kDepends[] = {
    {"parameters", false, false, false, false},
    {"non_embedding_parameters", false, false, false, false},
    {"memory", true, true, true, true},
    {"kv_bytes_per_token", false, false, true, true},
    {"flops_per_token", false, true, false, false},
    {"throughput", true, true, false, false},
};

}  // namespace

const std::vector<std::string>& budget_numbers() {
  static const std::vector<std::string> names = {
      "parameters", "non_embedding_parameters", "memory", "kv_bytes_per_token",
      "kv_bytes",   "flops_per_token",          "flops",  "throughput"};
  return names;
}

std::string long_form(const std::string& by) { return by == "kv_bytes" || by == "flops" ? by + "_per_token" : by; }

void check_budget_keys(TableReader& reader, const SearchBudget& budget, const std::vector<const char*>& sizes) {
  for (const Depends& depends : kDepends) {
    if (budget.by != depends.by) continue;
    const auto refuse = [&](const char* key, bool has_meaning) {
      if (!has_meaning && reader.has(key))
        reader.error(key, fmt::format("has no meaning for {}", budget.by), "", "no such key");
    };
    refuse("batch", depends.batch);
    refuse("sequence", depends.sequence);
    refuse("dtype", depends.dtype);
    for (const char* key : sizes) {
      const TomlNode* node = reader.take(key);
      const bool size = node && std::holds_alternative<std::string>(node->scalar.data);
      if (size && !depends.bytes) reader.wrong_type(key, *node, "a real above 0");
    }
  }
}

namespace {

const PruneBlock* block_of(const Recipe& recipe, const std::string& axis) {
  for (const PruneBlock& block : recipe.prune) {
    if (block.axis && block.axis->name == axis) return &block;
  }
  return nullptr;
}

std::vector<std::string> axes_of(const std::vector<PruneBlock>& blocks, const PruneBlock* end) {
  std::vector<std::string> names;
  for (const PruneBlock& block : blocks) {
    if (&block == end) break;
    if (block.axis) names.push_back(block.axis->name);
  }
  return names;
}

void check_axis(const Recipe& recipe, const SearchAxis& axis, Diagnostics& diagnostics) {
  if (axis.axis.empty()) return;  // told already
  const auto cuts = std::count_if(recipe.prune.begin(), recipe.prune.end(),
                                  [&](const PruneBlock& block) { return block.axis && block.axis->name == axis.axis; });
  if (cuts != 1) {
    const std::vector<std::string> names = axes_of(recipe.prune, nullptr);
    diagnostics.error(axis.axis_where, "search",
                      cuts == 0 ? "axes.axis has no [[prune]] block" : "axes.axis has more than one [[prune]] block",
                      "'" + axis.axis + "'",
                      cuts != 0       ? "one block, whose metric scores the axis"
                      : names.empty() ? "a block with its metric"
                                      : plain_any_of(names) + did_you_mean(axis.axis, names));
    return;
  }
  const PruneBlock& block = *block_of(recipe, axis.axis);
  if (block.keep || block.ratio) {
    diagnostics.error(
        block.keep_where, "prune",
        fmt::format("{} of axis '{}' and [search] exclude each other", block.keep ? "keep" : "ratio", axis.axis), "",
        "no target here: [search] chooses it");
  }
  if (!axis.ratio_of) return;
  const std::vector<std::string> earlier = axes_of(recipe.prune, &block);
  if (std::find(earlier.begin(), earlier.end(), *axis.ratio_of) != earlier.end()) return;
  diagnostics.error(axis.ratio_of_where, "search", "axes.ratio_of is not the axis of an earlier [[prune]] block",
                    "'" + *axis.ratio_of + "'",
                    earlier.empty() ? fmt::format("a block before that of '{}'", axis.axis)
                                    : plain_any_of(earlier) + did_you_mean(*axis.ratio_of, earlier));
}

void check_rounds(const Recipe& recipe, const SearchBlock& search, Diagnostics& diagnostics) {
  for (const double tokens : search.rounds) {
    if (!whole(tokens)) {
      diagnostics.error(search.rounds_where, "search", "rounds are not whole numbers", fmt::format("{}", tokens),
                        "tokens that a candidate trains for in each round");
    }
  }
  if (!search.rounds.empty() && !recipe.distill) {
    diagnostics.error(search.rounds_where, "search", "rounds train as [distill] says, and there is none", "",
                      "a table [distill]");
  }
  const bool has_valid = !recipe.data.valid.empty() || recipe.data.valid_fraction > 0;
  if (search.data == "valid" && !has_valid) {
    diagnostics.error(search.where, "search", "data asks for validation data, and there is none", "\"valid\"",
                      "valid or valid_fraction in [data], or data = \"calibration\"");
  }
}

}  // namespace

void finish_block(TableReader& reader, SearchAxis& axis) {
  axis.where = axis.axis_where = reader.where("axis");
  axis.ratio_of_where = reader.where("ratio_of");
  axis.step_where = reader.where("step");
  axis.sizes_where = reader.where(reader.has("keep") ? "keep" : reader.has("from") ? "from" : "max_removed");
  axis.keep_where = reader.element_places("keep");
  if (!axis.axis.empty()) check_form(reader, axis);
  const TomlNode* keep = reader.take("keep");
  if (keep && keep->is_list() && keep->list.empty()) reader.error("keep", "is empty", "[]", "sizes to choose from");
  if (axis.ratio_of) return;
  for (const double size : axis.keep) {
    if (!whole(size)) reader.error("keep", "is not a list of whole numbers", fmt::format("{}", size), "units to keep");
  }
}

void finish_block(TableReader& reader, SearchBudget& budget) {
  budget.where = reader.where("by");
  budget.by = long_form(budget.by);
  if (budget.by.empty()) return;
  check_bounds(reader, budget);
  check_budget_keys(reader, budget, {"target", "at_least", "at_most"});
}

void check_search(const Recipe& recipe, Diagnostics& diagnostics) {
  const bool searches = recipe.search.has_value();
  for (const PruneBlock& block : recipe.prune) {
    if (block.keep || block.ratio) continue;
    const bool named = searches && block.axis &&
                       std::any_of(recipe.search->axes.begin(), recipe.search->axes.end(),
                                   [&](const SearchAxis& axis) { return axis.axis == block.axis->name; });
    if (named) continue;
    diagnostics.error(block.where, "prune", "has no target", "",
                      fmt::format("keep = … (units) or ratio = … (share kept){}",
                                  searches ? ", or an entry in the axes of [search]" : ""));
  }
  if (!searches) return;
  const SearchBlock& search = *recipe.search;
  if (search.axes.empty()) {
    diagnostics.error(search.where, "search", "has no axes", "", "axes = [ { axis = \"…\", keep = [ … ] }, … ]");
  }
  for (std::size_t i = 0; i < search.axes.size(); ++i) {
    const SearchAxis& axis = search.axes[i];
    const bool again = std::any_of(search.axes.begin(), search.axes.begin() + static_cast<std::ptrdiff_t>(i),
                                   [&](const SearchAxis& other) { return other.axis == axis.axis; });
    if (again && !axis.axis.empty()) {
      diagnostics.error(axis.axis_where, "search", "axes names an axis twice", "'" + axis.axis + "'", "one entry each");
    } else {
      check_axis(recipe, axis, diagnostics);
    }
  }
  check_rounds(recipe, search, diagnostics);
}

}  // namespace espalier
