// SPDX-License-Identifier: Apache-2.0
#include "core/run/pipeline.hpp"

#include <algorithm>
#include <chrono>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/log.hpp"
#include "core/base/strings.hpp"
#include "core/run/lock.hpp"
#include "core/run/search.hpp"
#include "core/run/shared_stage.hpp"
#include "core/run/stages.hpp"
#include "core/run/tasks.hpp"
#include "core/run/training.hpp"

namespace espalier {

namespace {

bool corrects(const Recipe& recipe) { return recipe.correct.has_value() || recipe.teacher.spec.has_value(); }
bool prunes(const Recipe& recipe) { return !recipe.prune.empty(); }
bool searches(const Recipe& recipe) { return recipe.search.has_value(); }
bool distils(const Recipe& recipe) { return recipe.distill.has_value(); }
bool caches_teacher(const Recipe& recipe) { return recipe.teacher_cache.has_value(); }
bool always(const Recipe&) { return true; }
bool evaluates(const Recipe& recipe) {
  return !recipe.data.valid.empty() || recipe.data.valid_fraction > 0 || !recipe.eval.tasks.empty();
}

// Text of stage and component in front of what a library of ours or LibTorch throws.
std::string execute(Run& run, const Stage& stage) {
  try {
    return stage.execute(run);
  } catch (const Error&) {
    throw;
  } catch (const InternalError&) {
    throw;
  } catch (const std::exception& error) {
    const std::string text = error.what();
    fail("stage {}: {}", stage.name, text.substr(0, text.find('\n')));
  }
}

// The other ranks: called to one stage after another, until there is none.
int follow(Run& run) {
  int executed = 0;
  for (std::string name; !(name = run.comm().broadcast_text("", 0)).empty(); ++executed) {
    const auto stage = std::find_if(stages().begin(), stages().end(), [&](const Stage& s) { return name == s.name; });
    ESPALIER_CHECK(stage != stages().end(), name);
    execute(run, *stage);
  }
  return executed;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

constexpr Sharing kCorrect{correct_products, correct_basis, correct_written, nullptr};
constexpr Sharing kPlan{[](const Run& run) { return std::vector{relative(run, run.files().plan())}; },
                        [](Run&) { return std::string(); }, plan_written, nullptr};
constexpr Sharing kSlice{[](const Run& run) { return std::vector{relative(run, run.files().student())}; }, slice_basis,
                         slice_written, slice_personalise};
constexpr Sharing kVerify{[](const Run& run) { return std::vector{relative(run, run.files().verify())}; },
                          [](Run&) { return std::string(); }, verify_written, nullptr};
constexpr Sharing kDistill{[](const Run& run) { return training_products(run, "distill"); },
                           [](Run& run) { return training_basis(run, *run.recipe().distill, "distill"); },
                           distill_written, nullptr};

// Does the stage's work, or takes it over from a run that has done it.
void perform(Run& run, const Stage& stage, const std::string& inputs) {
  if (stage.discard != nullptr && !run.ledger().began(stage.name, inputs)) stage.discard(run, stage.name);
  run.ledger().begin(stage.name, inputs);
  spdlog::info("{:<8} {}", stage.name, stage.does);
  const auto start = std::chrono::steady_clock::now();
  std::optional<SharedStage> shared;
  if (stage.sharing != nullptr) shared.emplace(run, stage, inputs);
  const std::optional<std::string> taken = shared ? shared->take_over() : std::nullopt;
  if (stage.all_ranks && !taken) run.comm().broadcast_text(stage.name, 0);
  const std::string written = taken ? *taken : execute(run, stage);
  // What a stage took is what it took the run that did it: costs are compared, not who came first.
  run.ledger().finish(stage.name, written, taken ? shared->seconds() : seconds_since(start));
  if (shared && !taken) shared->publish(written);
  run.set_output(stage.name, written);
  if (taken) {
    spdlog::info("{:<8} taken over from {}", stage.name, shared->maker().string());
  } else {
    spdlog::info("{:<8} done in {}", stage.name, human_time(seconds_since(start)));
  }
}

}  // namespace

const std::vector<Stage>& stages() {
  static const std::vector<Stage> list = {
      {"correct", "train the teacher", corrects, correct_inputs,
       [](const RunFiles& f) { return f.teacher() / "config.json"; }, run_correct, discard_training, &kCorrect, nullptr,
       true},
      {"score", "score the units of every axis", prunes, score_inputs, [](const RunFiles& f) { return f.scores(); },
       run_score},
      {"search", "find the best shape inside the budgets", searches, search_inputs,
       [](const RunFiles& f) { return f.search(); }, run_search, discard_search, nullptr, nullptr, true},
      {"plan", "choose what is kept", prunes, plan_inputs, [](const RunFiles& f) { return f.plan(); }, run_plan,
       nullptr, &kPlan},
      {"slice", "write the student", prunes, slice_inputs,
       [](const RunFiles& f) { return f.student() / "config.json"; }, run_slice, nullptr, &kSlice},
      {"verify", "prove masked = sliced", prunes, verify_inputs, [](const RunFiles& f) { return f.verify(); },
       run_verify, nullptr, &kVerify},
      {"teacher_cache", "compute what the teacher says", caches_teacher, teacher_cache_inputs,
       [](const RunFiles& f) { return f.teacher_cache(); }, run_teacher_cache},
      {"distill", "train the student against the teacher", distils, distill_inputs,
       [](const RunFiles& f) { return f.checkpoints() / "latest"; }, run_distill, discard_training, &kDistill, nullptr,
       true},
      {"export", "write the Hugging Face folder", always, export_inputs,
       [](const RunFiles& f) { return f.exported() / "config.json"; }, run_export},
      {"eval", "measure teacher and students", evaluates, eval_inputs, [](const RunFiles& f) { return f.eval(); },
       run_eval, nullptr, nullptr, eval_intact},
  };
  return list;
}

int run_pipeline(Run& run, const std::string& last) {
  if (!run.leads()) return follow(run);
  std::error_code error;
  fs::create_directories(run.files().root, error);
  if (error) fail("{}: cannot make the run directory; got {}", run.files().root.string(), error.message());
  const FolderLock lock(run.files().root);
  log_to(run.files().log());
  check_tasks(run);
  write_text(run.files().recipe(), run.recipe().text);
  write_lock(run);
  int executed = 0;
  for (const Stage& stage : stages()) {
    if (!stage.wanted(run.recipe())) continue;
    throw_if_interrupted();
    const std::string inputs = stage.inputs(run);
    if (const auto output = run.ledger().finished(stage.name, inputs);
        output && fs::exists(stage.product(run.files())) &&
        (stage.intact == nullptr || stage.intact(run.files(), *output))) {
      spdlog::info("{:<8} unchanged, skipped", stage.name);
      run.set_output(stage.name, *output);
    } else {
      perform(run, stage, inputs);
      ++executed;
    }
    if (last == stage.name) break;
  }
  write_lock(run);                   // again, with the digests that are known now
  run.comm().broadcast_text("", 0);  // nothing more for the others
  return executed;
}

std::string describe_pipeline(const Recipe& recipe, const std::string& last) {
  std::string text;
  for (const Stage& stage : stages()) {
    if (stage.wanted(recipe)) text += fmt::format("{:<8} {}\n", stage.name, stage.does);
    if (last == stage.name) break;
  }
  return text;
}

}  // namespace espalier
