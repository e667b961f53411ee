// SPDX-License-Identifier: Apache-2.0
#include "core/run/training_check.hpp"

#include <algorithm>
#include <optional>

#include "core/base/log.hpp"
#include "core/run/training_memory.hpp"
#include "core/train/feature_terms.hpp"

namespace espalier {

namespace {

void check_balance(const TrainBlock& block, const char* table, const Registry& registry, Diagnostics& diagnostics) {
  const auto features = std::count_if(block.losses.begin(), block.losses.end(),
                                      [&](const LossBlock& loss) { return registry.is_feature_loss(*loss.loss); });
  const bool both = features > 0 && features < static_cast<std::ptrdiff_t>(block.losses.size());
  if (block.balance != "dynamic" || both || block.losses.empty()) return;
  diagnostics.error(block.balance_where, table, "balance = \"dynamic\" has one kind of losses only",
                    features > 0 ? "losses on hidden states" : "losses on logits", "one or more of each kind");
}

// Every rank takes the same number of whole micro-batches.
void check_ranks(const TrainBlock& block, const char* table, std::int64_t ranks, Diagnostics& diagnostics) {
  const std::int64_t each = block.micro_batch * ranks, below = block.global_batch / each * each;
  if (block.global_batch == below) return;
  const std::string nearest = below > 0 ? fmt::format("{}, {}", below, below + each) : fmt::format("{}", below + each);
  diagnostics.error(
      block.global_batch_where, table,
      fmt::format("global_batch does not divide over {} ranks in micro-batches of {}", ranks, block.micro_batch),
      std::to_string(block.global_batch), fmt::format("a multiple of {} (nearest: {})", each, nearest));
}

// One table's losses against the two models; without a teacher no loss may ask for one.
class LossCheck {
 public:
  LossCheck(const Run& run, const char* table, Diagnostics& diagnostics)
      : run_(run), table_(table), diagnostics_(diagnostics) {}

  void against(const TrainBlock& block, const ModelSpec& student, const std::optional<ModelSpec>& teacher) {
    for (const LossBlock& entry : block.losses) {
      const Loss loss = run_.registry().loss(*entry.loss, run_.host());
      if (!teacher && (loss.on_features || loss.on_logits->needs_teacher())) {
        problem(entry, fmt::format("loss '{}' compares with a teacher, but there is none to compare with; got a model "
                                   "from random weights; expected losses on the labels alone",
                                   entry.loss->name));
      } else if (loss.on_features && teacher) {
        features(entry, *loss.on_features, student, *teacher);
      }
    }
  }

 private:
  void features(const LossBlock& entry, const FeatureLoss& loss, const ModelSpec& student, const ModelSpec& teacher) {
    try {
      checked_plan(entry.loss->name, loss, student, teacher);
    } catch (const Error& error) {
      problem(entry, error.what());
    }
  }

  void problem(const LossBlock& entry, const std::string& text) {
    diagnostics_.error(entry.loss->where, table_, text, "", "");
  }

  const Run& run_;
  const char* table_;
  Diagnostics& diagnostics_;
};

// A cache holds what the teacher says at the end, of all tokens or of the likeliest.
void check_cache(const Run& run, const ModelSpec& teacher, Diagnostics& diagnostics) {
  const TeacherCacheBlock& cache = *run.recipe().teacher_cache;
  if (cache.k > teacher.vocab) {
    diagnostics.error(cache.k_where, "teacher_cache", "k is more than the teacher's vocabulary",
                      std::to_string(cache.k), fmt::format("0 (chosen) to {} (nothing is lost)", teacher.vocab));
  }
  for (const LossBlock& entry : run.recipe().distill->losses) {
    const Loss loss = run.registry().loss(*entry.loss, run.host());
    if (loss.on_features) {
      diagnostics.error(entry.loss->where, "distill",
                        fmt::format("loss '{}' looks at the teacher's hidden states, which [teacher_cache] does not "
                                    "hold",
                                    entry.loss->name),
                        "", "losses on logits, or no [teacher_cache]");
    }
  }
  if (!needs_teacher(run, *run.recipe().distill)) {
    diagnostics.error(cache.where, "teacher_cache", "serves no loss: none compares with a teacher", "",
                      "a loss that does, or no [teacher_cache]");
  }
}

}  // namespace

void check_losses(const Recipe& recipe, const Registry& registry, Diagnostics& diagnostics) {
  if (recipe.correct) check_balance(*recipe.correct, "correct", registry, diagnostics);
  if (recipe.distill) check_balance(*recipe.distill, "distill", registry, diagnostics);
}

void check_training(const Run& run, const ModelSpec& student) {
  const Recipe& recipe = run.recipe();
  const ModelSpec given = run.teacher_spec();
  Diagnostics diagnostics;
  if (recipe.correct) check_ranks(*recipe.correct, "correct", run.comm().size(), diagnostics);
  if (recipe.distill) check_ranks(*recipe.distill, "distill", run.comm().size(), diagnostics);
  if (recipe.correct) {
    // A correction compares with the model before it.
    const std::optional<ModelSpec> before = recipe.teacher.spec ? std::nullopt : std::optional(given);
    LossCheck(run, "correct", diagnostics).against(*recipe.correct, given, before);
  }
  if (recipe.distill) {
    const ModelSpec teacher = run.distill_teacher_spec();
    if (teacher.vocab != student.vocab) {
      diagnostics.error(recipe.distill->teacher_where, "distill", "teacher has another vocabulary than the student",
                        fmt::format("{} tokens", teacher.vocab), fmt::format("{}", student.vocab));
    }
    LossCheck(run, "distill", diagnostics).against(*recipe.distill, student, teacher);
    if (recipe.teacher_cache) check_cache(run, teacher, diagnostics);
  }
  diagnostics.throw_if_any();
}

}  // namespace espalier
