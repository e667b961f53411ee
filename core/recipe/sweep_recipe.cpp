// SPDX-License-Identifier: Apache-2.0
#include "core/recipe/sweep_recipe.hpp"

#include <algorithm>
#include <utility>

#include "core/base/strings.hpp"
#include "core/recipe/document.hpp"
#include "core/recipe/sweep_agreement.hpp"
#include "core/recipe/sweep_reader.hpp"

namespace espalier {
namespace {

// The entries of `set`: paths, and whole tables, which are merged.
std::vector<Override> overrides_of(const TomlNode& set, TomlNode& root, Diagnostics& diagnostics) {
  std::vector<Override> items;
  for (const TomlEntry& entry : set.entries) {
    Override item{entry.node.where, split_path(entry.key), entry.node};
    if (std::any_of(item.path.begin(), item.path.end(), [](const std::string& part) { return part.empty(); })) {
      diagnostics.error(entry.where, "sweep", "set of an arm has a path without a key", "'" + entry.key + "'",
                        "\"key.sub\"");
    } else if (item.path.size() == 1 && entry.node.is_table()) {
      TomlNode table;
      table.entries.push_back(entry);
      merge_document(root, table);
    } else {
      items.push_back(std::move(item));
    }
  }
  return items;
}

void set_teacher(TomlNode& root, const SweepTeacher& teacher) {
  TomlEntry* entry = root.find("teacher");
  if (!entry || !entry->node.is_table()) {
    TomlNode table;
    table.where = teacher.where;
    entry = &root.set("teacher", std::move(table));
  }
  entry->node.erase("spec");
  entry->node.erase("config");
  TomlNode path;
  path.type = TomlNode::Type::scalar;
  path.where = teacher.where;
  path.scalar.data = teacher.path.string();
  entry->node.set("path", std::move(path));
}

bool sets_teacher(const SweepArm& arm) {
  if (arm.changes.find("teacher")) return true;
  const TomlEntry* set = arm.changes.find("set");
  return set && std::any_of(set->node.entries.begin(), set->node.entries.end(),
                            [](const TomlEntry& entry) { return split_path(entry.key).front() == "teacher"; });
}

// The block whose size is solved for keeps everything until then; problems with its size are told at the arm's `free`.
void free_block(TomlNode& root, const SweepArm& arm, Diagnostics& diagnostics) {
  std::vector<TomlNode> none;
  TomlEntry* prune = root.find("prune");
  std::vector<std::string> axes;
  for (TomlNode& block : prune ? prune->node.list : none) {
    const TomlEntry* axis = block.find("axis");
    const auto* name = axis ? std::get_if<std::string>(&axis->node.scalar.data) : nullptr;
    if (name) axes.push_back(*name);
    if (!name || *name != arm.free) continue;
    TomlNode everything;
    everything.type = TomlNode::Type::scalar;
    everything.where = arm.free_where;
    everything.scalar.data = 1.0;
    block.erase("keep");
    block.set("ratio", std::move(everything));
  }
  const auto blocks = std::count(axes.begin(), axes.end(), arm.free);
  if (blocks != 1) {
    diagnostics.error(arm.free_where, "sweep",
                      fmt::format("arm.free is {}",
                                  blocks == 0 ? "not an axis of [[prune]]" : "the axis of several [[prune]] blocks"),
                      "'" + arm.free + "'",
                      blocks != 0    ? "one block of it"
                      : axes.empty() ? "a [[prune]] block of it"
                                     : plain_any_of(axes) + did_you_mean(arm.free, axes));
  }
  if (const TomlEntry* search = root.find("search")) {
    diagnostics.error(search->where, "search", "and match of [sweep] exclude each other", "", "one of them");
  }
}

TomlNode tree_of(const TomlNode& base, const SweepArm& arm, const std::vector<SweepTeacher>& teachers,
                 Diagnostics& diagnostics) {
  TomlNode root = base;
  root.erase("sweep");
  TomlNode tables = arm.changes;
  tables.erase("set");
  merge_document(root, tables);
  add_default_components(root);
  const TomlEntry* set = arm.changes.find("set");
  const std::vector<Override> items = set ? overrides_of(set->node, root, diagnostics) : std::vector<Override>();
  for (const Override& item : items) {  // tables first, so that `set` can reach into their default components
    if (item.path.size() < 2 || root.find(item.path.front())) continue;
    TomlNode created;
    created.where = item.place;
    root.set(item.path.front(), created);
  }
  add_default_components(root);
  apply_overrides(root, items, diagnostics);
  if (!teachers.empty()) set_teacher(root, teachers.front());
  if (!teachers.empty() && sets_teacher(arm)) {
    diagnostics.error(arm.where, "sweep", fmt::format("arm '{}' sets the teacher, and so does teachers", arm.name), "",
                      "one of them");
  }
  add_default_components(root);
  if (!arm.free.empty()) free_block(root, arm, diagnostics);
  return root;
}

// What the sweep says where it says nothing.
void resolve_defaults(SweepRecipe& sweep, const Recipe& first) {
  const SweepBlock& block = sweep.sweep;
  sweep.name = first.name;
  sweep.output = first.output;
  sweep.plugins = first.plugins;
  for (const std::int64_t seed : block.seeds) sweep.seeds.push_back(static_cast<std::uint64_t>(seed));
  if (sweep.seeds.empty()) sweep.seeds.push_back(first.seed);
  sweep.teachers = block.teachers;
  if (sweep.teachers.empty()) {
    const fs::path& path = first.teacher.path;
    const std::string name = path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
    sweep.teachers.push_back({path, name.empty() ? "teacher" : name, first.teacher.where});
  }
  sweep.baseline = block.baseline.empty() ? block.arms.front().name : block.baseline;
  if (!block.match || block.match->budget.target) return;
  sweep.match_to = block.match->to;
  for (const SweepArm& arm : block.arms) {
    if (sweep.match_to.empty() && arm.free.empty()) sweep.match_to = arm.name;
  }
}

}  // namespace

SweepRecipe parse_sweep(const fs::path& file, const Overrides& overrides, Diagnostics& diagnostics) {
  SweepRecipe sweep;
  sweep.file = file;
  Document document = load_document(file, overrides, diagnostics);
  sweep.text = std::move(document.text);
  if (!document.readable) return sweep;
  const TomlEntry* entry = document.root.find("sweep");
  if (!entry || !entry->node.is_table()) {
    diagnostics.error(entry ? entry->node.where : document.root.where, "sweep",
                      entry ? "has the wrong type" : "is missing", entry ? describe(entry->node) : "",
                      "a table [sweep] with [[sweep.arm]], or for a single run: espalier run " + file.string());
    return sweep;
  }
  sweep.sweep = read_sweep(entry->node, diagnostics);
  std::vector<TomlNode> trees;
  for (const SweepArm& arm : sweep.sweep.arms) {
    trees.push_back(tree_of(document.root, arm, sweep.sweep.teachers, diagnostics));
    ArmRecipe& made = sweep.arms.emplace_back(ArmRecipe{arm, {}});
    made.recipe.file = file;
    made.recipe.text = sweep.text;
    read_recipe(trees.back(), made.recipe, diagnostics);
    if (!sweep.sweep.teachers.empty()) made.recipe.teacher.where = sweep.sweep.teachers.front().where;
  }
  if (sweep.arms.empty()) return sweep;
  resolve_defaults(sweep, sweep.arms.front().recipe);
  if (sweep.sweep.match) {
    const std::string reference = sweep.match_to.empty() ? sweep.sweep.arms.front().name : sweep.match_to;
    check_agreement(sweep, reference, trees, document.root, diagnostics);
  }
  return sweep;
}

Recipe with_teacher(Recipe recipe, const SweepTeacher& teacher) {
  if (teacher.path.empty()) return recipe;  // the recipe's own, from random weights
  recipe.teacher.path = teacher.path;
  recipe.teacher.where = teacher.where;
  return recipe;
}

}  // namespace espalier
