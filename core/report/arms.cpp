// SPDX-License-Identifier: Apache-2.0
#include "core/report/arms.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "core/base/error.hpp"

namespace espalier {
namespace {

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

// Folders of the same name in different places are told apart by as much of the path as it takes.
std::string longer_name(const std::string& name, const fs::path& folder, const std::set<std::string>& taken) {
  if (!taken.contains(name)) return name;
  const fs::path full = fs::absolute(folder).lexically_normal();
  std::string text = name;
  for (fs::path at = (full.has_filename() ? full : full.parent_path()).parent_path(); at.has_filename();
       at = at.parent_path()) {
    text = at.filename().string() + "/" + text;
    if (!taken.contains(text)) return text;
  }
  return text;
}

void check_seeds(const std::vector<RunRef>& runs, const std::vector<std::size_t>& members) {
  std::map<std::int64_t, const RunRef*> seeds;
  for (const std::size_t i : members) {
    const RunRef& run = runs[i];
    if (!run.seed) continue;
    const auto [place, fresh] = seeds.try_emplace(*run.seed, &run);
    if (fresh) continue;
    reject("{} and {}: the same recipe with the same seed {}; expected seeds that differ, or each run once",
           place->second->folder.string(), run.folder.string(), *run.seed);
  }
}

}  // namespace

std::string common_name(const std::vector<std::string>& names) {
  if (names.size() == 1) return names.front();
  std::string common = names.front();
  for (const std::string& name : names) {
    const auto end = std::mismatch(common.begin(), common.end(), name.begin(), name.end()).first;
    common.erase(end, common.end());
  }
  // "seed1" of seed11 and seed12 is cut inside of a number.
  const bool inside = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return name.size() > common.size() && is_digit(name[common.size()]);
  });
  while (inside && !common.empty() && is_digit(common.back())) common.pop_back();
  const auto drop = [&](std::string_view separators) {
    while (!common.empty() && separators.find(common.back()) != std::string_view::npos) common.pop_back();
  };
  drop("-_. ");
  for (const std::string_view word : {"seed", "s"}) {
    if (common.size() > word.size() && common.ends_with(word) &&
        std::string_view("-_. ").find(common[common.size() - word.size() - 1]) != std::string_view::npos) {
      common.resize(common.size() - word.size());
      break;
    }
  }
  drop("-_. ");
  return common.empty() ? names.front() : common;
}

void name_arms(std::vector<RunRef>& runs) {
  std::set<std::string> taken, folders;
  for (const RunRef& run : runs) {
    if (!run.arm.empty()) taken.insert(run.arm);
    if (!folders.insert(fs::weakly_canonical(run.folder).string()).second)
      reject("{}: given twice; expected each run once", run.folder.string());
  }
  std::map<std::string, std::vector<std::size_t>> groups;  // by recipe; models without one by themselves
  std::vector<std::string> order;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (!runs[i].arm.empty()) continue;
    const std::optional<RunRecipe> recipe = read_run_recipe(runs[i].folder);
    const std::string key = recipe ? recipe->text() : runs[i].folder.string();
    if (!groups.contains(key)) order.push_back(key);
    groups[key].push_back(i);
  }
  for (const std::string& key : order) {
    const std::vector<std::size_t>& members = groups[key];
    check_seeds(runs, members);
    std::vector<std::string> names;
    for (const std::size_t i : members) names.push_back(runs[i].name);
    const std::string name = longer_name(common_name(names), runs[members.front()].folder, taken);
    taken.insert(name);
    for (const std::size_t i : members) runs[i].arm = name;
  }
}

std::vector<Arm> arms_of(const std::vector<RunRecord>& runs) {
  std::vector<Arm> arms;
  for (const RunRecord& run : runs) {
    if (!run.finished()) continue;
    auto arm = std::find_if(arms.begin(), arms.end(), [&](const Arm& other) { return other.name == run.ref.arm; });
    if (arm == arms.end()) arm = arms.insert(arms.end(), {run.ref.arm, {}, read_run_recipe(run.ref.folder)});
    arm->runs.push_back(run);
  }
  for (Arm& arm : arms) {
    std::stable_sort(arm.runs.begin(), arm.runs.end(), [](const RunRecord& a, const RunRecord& b) {
      return a.ref.seed.value_or(0) < b.ref.seed.value_or(0);
    });
  }
  return arms;
}

}  // namespace espalier
