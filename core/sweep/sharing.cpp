// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/sharing.hpp"

#include <set>

#include "core/base/error.hpp"
#include "core/importance/job.hpp"
#include "core/run/lock.hpp"
#include "core/run/scores.hpp"

namespace espalier {
namespace {

// The parts of a resolved recipe as text: equal texts are equal work. These mirror the digests of the stages' inputs,
// which are known only once the stages before them have run.
class Keys {
 public:
  Keys(const SweepRun& sweep_run, const Registry& registry)
      : recipe_(sweep_run.recipe), run_(sweep_run.recipe, registry, {at::kFloat, at::kCPU}) {
    Diagnostics diagnostics;
    std::optional<TomlNode> tree = parse_toml(resolved_recipe(recipe_, registry), sweep_run.name, diagnostics);
    diagnostics.throw_if_any();
    tree_ = std::move(*tree);
  }

  bool corrects() const { return recipe_.correct || recipe_.teacher.spec; }
  bool prunes() const { return !recipe_.prune.empty(); }
  bool evaluates() const { return !recipe_.data.valid.empty() || recipe_.data.valid_fraction > 0; }

  std::string teacher() const {
    std::string key = text("teacher");
    if (corrects()) key += text("correct") + seed() + text("data", "train") + text("data", "seq_length");
    return key;
  }
  std::string pruned() const { return recipe_.prunes_original() ? text("teacher") : teacher(); }

  std::vector<std::string> scores() const {
    std::vector<std::string> keys;
    const TomlEntry* blocks = tree_.find("prune");
    for (std::size_t i = 0; i < recipe_.prune.size(); ++i) {
      const TomlNode& block = blocks->node.list[i];
      const ScoreJob job = block_job(run_, i, 1);
      std::string key = pruned() + seed() + recipe_.prune[i].axis->name + toml_text(block.find("metric")->node);
      if (needs_data(job)) key += text("data") + text("score", "samples") + text("score", "seq_length");
      if (scores_runs(job)) key += fmt::format("runs of {}", job.run);
      if (recipe_.score.rounds > 1) key += text("score", "rounds") + text("prune");
      keys.push_back(std::move(key));
    }
    return keys;
  }
  std::string plan() const {
    std::string key = pruned() + text("prune") + text("search") + text("data", "seq_length");
    for (const std::string& score : scores()) key += score;
    return key;
  }
  std::string slice() const { return plan() + text("export", "shard_size"); }
  std::string verify() const { return slice() + text("data") + text("score", "seq_length"); }
  std::string teacher_eval() const {
    return teacher() + text("data", "valid") + text("data", "train") + text("data", "valid_fraction") + text("eval");
  }

 private:
  std::string seed() const { return fmt::format(" seed {} ", recipe_.seed); }
  std::string text(const char* table, const char* key = nullptr) const {
    const TomlEntry* entry = tree_.find(table);
    if (entry && key) entry = entry->node.find(key);
    return entry ? toml_text(entry->node) + "\n" : "none\n";
  }

  const Recipe& recipe_;
  Run run_;
  TomlNode tree_;
};

}  // namespace

std::vector<SharedWork> shared_work(const Sweep& sweep, const Registry& registry) {
  const std::vector<std::string> names = {"correct", "score (each axis)",  "plan", "slice",
                                          "verify",  "eval of the teacher"};
  std::vector<SharedWork> work(names.size());
  std::vector<std::set<std::string>> keys(names.size());
  for (const SweepRun& run : sweep.runs) {
    const Keys of(run, registry);
    const auto add = [&](std::size_t kind, bool wanted, const std::string& key) {
      if (!wanted) return;
      ++work[kind].runs;
      keys[kind].insert(key);
    };
    add(0, of.corrects(), of.teacher());
    for (const std::string& score : of.scores()) add(1, true, score);
    if (of.prunes()) {
      add(2, true, of.plan());
      add(3, true, of.slice());
      add(4, true, of.verify());
    }
    add(5, of.evaluates(), of.teacher_eval());
  }
  std::vector<SharedWork> wanted;
  for (std::size_t i = 0; i < work.size(); ++i) {
    if (work[i].runs == 0) continue;
    wanted.push_back({names[i], work[i].runs, static_cast<std::int64_t>(keys[i].size())});
  }
  return wanted;
}

}  // namespace espalier
