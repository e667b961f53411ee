// SPDX-License-Identifier: Apache-2.0
#include "core/recipe/sweep_reader.hpp"

#include <algorithm>

#include "core/base/strings.hpp"
#include "core/recipe/sweep_fields.hpp"
#include "core/recipe/table_reader.hpp"

namespace espalier {
namespace {

constexpr const char* kArms = "[[sweep.arm]] with name = \"…\" and what the arm changes";
constexpr const char* kTeachers = "a list of paths or of { path = \"…\", name = \"…\" }";

// What belongs to the sweep as a whole.
struct Reserved {
  const char* key;
  const char* expected;
};
constexpr Reserved kReserved[] = {
    {"schema", "schema outside [sweep]"},
    {"name", "the arm's own name"},
    {"extends", "extends outside [sweep]"},
    {"seed", "seeds = [ … ] in [sweep]"},
    {"output", "output outside [sweep]: each run has a folder of its own in it"},
    {"plugins", "plugins outside [sweep]: all arms have the same"},
    {"sweep", "no sweep inside a sweep"},
    {"lock", "no [lock]"},
};

// Names become parts of the names of folders.
bool names_folder(const std::string& name) {
  return !name.empty() && name.front() != '.' && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
}

class SweepReader {
 public:
  SweepReader(const TomlNode& node, Diagnostics& diagnostics)
      : reader_(node, "sweep", "", diagnostics), diagnostics_(diagnostics) {
    sweep_.where = node.where;
  }

  SweepBlock read() {
    reader_("seeds", sweep_.seeds, {}, at_least(0));
    sweep_.seeds_where = reader_.where("seeds");
    teachers();
    reader_("baseline", sweep_.baseline, "", any());
    sweep_.baseline_where = reader_.where("baseline");
    match();
    arms();
    reader_.finish();
    check_seeds();
    known_arm(sweep_.baseline, "baseline", sweep_.baseline_where);
    if (sweep_.match) check_match(*sweep_.match);
    return std::move(sweep_);
  }

 private:
  void problem(const Where& where, const std::string& what, const std::string& got, const std::string& expected) {
    diagnostics_.error(where, "sweep", what, got, expected);
  }

  void check_seeds() {
    const TomlNode* node = reader_.take("seeds");
    if (node && node->is_list() && node->list.empty()) problem(node->where, "seeds is empty", "[]", "one or more");
    for (std::size_t i = 0; i < sweep_.seeds.size(); ++i) {
      const auto end = sweep_.seeds.begin() + static_cast<std::ptrdiff_t>(i);
      if (std::find(sweep_.seeds.begin(), end, sweep_.seeds[i]) == end) continue;
      problem(node->list[i].where, "seeds has a seed twice", std::to_string(sweep_.seeds[i]), "seeds that differ");
    }
  }

  void teachers() {
    const TomlNode* node = reader_.take("teachers");
    sweep_.teachers_where = reader_.where("teachers");
    if (!node) return;
    if (!node->is_list() || node->list.empty()) return reader_.wrong_type("teachers", *node, kTeachers);
    for (const TomlNode& element : node->list) teacher(element);
  }

  void teacher(const TomlNode& element) {
    SweepTeacher teacher;
    teacher.where = element.where;
    std::string path;
    const auto* text = std::get_if<std::string>(&element.scalar.data);
    if (element.type == TomlNode::Type::scalar && text) {
      path = *text;
    } else if (element.is_table()) {
      TableReader reader(element, "sweep", "teachers", diagnostics_);
      reader.required("path", path, any());
      reader("name", teacher.name, "", any());
      reader.finish();
      if (!reader.has("path")) return;
    } else {
      return reader_.wrong_type("teachers", element, kTeachers);
    }
    teacher.path = path;
    if (path.empty()) return problem(element.where, "teachers has an empty path", "", kTeachers);
    const fs::path plain = teacher.path.has_filename() ? teacher.path : teacher.path.parent_path();
    if (teacher.name.empty()) teacher.name = plain.filename().string();
    if (!names_folder(teacher.name)) {
      problem(element.where, "a teacher's name cannot name a folder", to_text({teacher.name}),
              "{ path = \"…\", name = \"…\" } with letters, digits, '-', '_' and '.'");
    } else if (std::any_of(sweep_.teachers.begin(), sweep_.teachers.end(),
                           [&](const SweepTeacher& other) { return other.name == teacher.name; })) {
      problem(element.where, "two teachers have the same name", "'" + teacher.name + "'",
              "names that differ: { path = \"…\", name = \"…\" }");
    }
    sweep_.teachers.push_back(std::move(teacher));
  }

  void match() {
    const TomlNode* node = reader_.take("match");
    if (!node) return;
    const std::string expected = "match = { by = \"…\", tolerance = … }";
    if (!node->is_table()) return reader_.wrong_type("match", *node, expected);
    SweepMatch match;
    match.where = node->where;
    TableReader reader(*node, "sweep", "match", diagnostics_);
    visit_fields(reader, match);
    match.budget.by = long_form(match.budget.by);
    match.budget.where = reader.where("by");
    match.to_where = reader.where("to");
    check_budget_keys(reader, match.budget, {"target"});
    if (reader.has("to") && reader.has("target"))
      reader.error("target", "and to exclude each other", "", "one of them");
    reader.finish();
    sweep_.match = std::move(match);
  }

  void arms() {
    const TomlNode* node = reader_.take("arm");
    if (!node || !node->is_list() || node->list.empty()) {
      if (node) return reader_.wrong_type("arm", *node, kArms);
      return problem(sweep_.where, "has no arms", "", kArms);
    }
    for (const TomlNode& element : node->list) {
      if (!element.is_table()) {
        reader_.wrong_type("arm", element, kArms);
      } else {
        arm(element);
      }
    }
  }

  void arm(const TomlNode& element) {
    SweepArm arm;
    arm.where = element.where;
    TableReader reader(element, "sweep", "arm", diagnostics_);
    reader.required("name", arm.name, any());
    reader("free", arm.free, "", any());
    arm.free_where = reader.where("free");
    arm.changes = element;
    arm.changes.erase("name");
    arm.changes.erase("free");
    for (const Reserved& reserved : kReserved) {
      const TomlEntry* entry = arm.changes.find(reserved.key);
      if (entry) problem(entry->where, fmt::format("an arm cannot set {}", reserved.key), "", reserved.expected);
      arm.changes.erase(reserved.key);
    }
    check_set(arm.changes);
    if (reader.has("name") && !names_folder(arm.name)) {
      reader.error("name", "cannot name a folder", to_text({arm.name}), "letters, digits, '-', '_' and '.'");
    } else if (std::any_of(sweep_.arms.begin(), sweep_.arms.end(),
                           [&](const SweepArm& other) { return other.name == arm.name; })) {
      reader.error("name", "is that of an earlier arm", "'" + arm.name + "'", "names that differ");
    }
    sweep_.arms.push_back(std::move(arm));
  }

  void check_set(TomlNode& changes) {
    const TomlEntry* set = changes.find("set");
    if (!set) return;
    if (!set->node.is_table()) {
      problem(set->node.where, "set of an arm has the wrong type", describe(set->node),
              "set = { \"distill.steps\" = …, \"prune.0.keep\" = … }");
      return changes.erase("set");
    }
    for (const TomlEntry& entry : std::vector<TomlEntry>(set->node.entries)) {
      const std::string top = entry.key.substr(0, entry.key.find('.'));
      for (const Reserved& reserved : kReserved) {
        if (top != reserved.key) continue;
        problem(entry.where, fmt::format("an arm cannot set {}", top), "", reserved.expected);
        changes.find("set")->node.erase(entry.key);
      }
    }
  }

  void known_arm(const std::string& name, const char* key, const Where& where) {
    std::vector<std::string> names;
    for (const SweepArm& arm : sweep_.arms) names.push_back(arm.name);
    if (name.empty() || names.empty() || std::find(names.begin(), names.end(), name) != names.end()) return;
    problem(where, fmt::format("{} is not an arm", key), "'" + name + "'",
            plain_any_of(names) + did_you_mean(name, names));
  }

  // Somebody must say what the others are to cost, and somebody must be able to change.
  void check_match(const SweepMatch& match) {
    known_arm(match.to, "match.to", match.to_where);
    const auto is_free = [](const SweepArm& arm) { return !arm.free.empty(); };
    for (const SweepArm& arm : sweep_.arms) {
      if (is_free(arm) && arm.name == match.to)
        problem(match.to_where, "match.to is an arm whose own size is free", "'" + arm.name + "'", "one without free");
    }
    if (!match.budget.target && match.to.empty() && !sweep_.arms.empty() &&
        std::all_of(sweep_.arms.begin(), sweep_.arms.end(), is_free)) {
      problem(match.where, "match has no target", "", "target = …, or an arm without free");
    }
  }

  TableReader reader_;
  Diagnostics& diagnostics_;
  SweepBlock sweep_;
};

}  // namespace

SweepBlock read_sweep(const TomlNode& node, Diagnostics& diagnostics) {
  SweepBlock sweep = SweepReader(node, diagnostics).read();
  for (const SweepArm& arm : sweep.arms) {
    if (arm.free.empty() || sweep.match) continue;
    diagnostics.error(arm.free_where, "sweep", "arm.free has nothing to be solved for", "'" + arm.free + "'",
                      "match = { by = \"…\" } in [sweep]");
  }
  return sweep;
}

}  // namespace espalier
