// SPDX-License-Identifier: Apache-2.0
// The architecture search (arXiv 2407.14679, sections 2.3 and 4.3): every candidate is a view of the teacher through
// its plan, from one set of scores; the loss of the views ranks them, short distillation ranks the better ones again.
// What is measured goes to search/table.json at once, so that a search that was killed goes on.
#include <chrono>
#include <cmath>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/log.hpp"
#include "core/base/strings.hpp"
#include "core/eval/evaluate.hpp"
#include "core/prune/sliced_weights.hpp"
#include "core/run/prune_steps.hpp"
#include "core/run/search.hpp"
#include "core/run/stages.hpp"
#include "core/run/teacher_cache.hpp"
#include "core/run/training.hpp"
#include "core/search/halving.hpp"
#include "core/search/throughput.hpp"

namespace espalier {
namespace {

using Clock = std::chrono::steady_clock;

at::ScalarType exported_dtype(const Run& run) {
  const std::string& name = run.recipe().export_block.dtype;
  return name.empty() ? run.teacher_dtype() : dtype_from_config(name, run.recipe().file.string());
}

DataPart measured_on(const Run& run) {
  const DataBlock& data = run.recipe().data;
  const bool has_valid = !data.valid.empty() || data.valid_fraction > 0;
  const std::string& wish = run.recipe().search->data;
  return wish == "valid" || (wish.empty() && has_valid) ? DataPart::valid : DataPart::calibration;
}

// The rounds as the trainer counts them: whole steps, at least what was asked for.
HalvingPlan halving_plan(const Recipe& recipe) {
  HalvingPlan plan{recipe.search->top_k, recipe.search->keep, {}};
  double asked = 0.0;
  std::int64_t given = 0;
  for (const double tokens : recipe.search->rounds) {
    asked += tokens;
    const std::int64_t each = recipe.distill->tokens_per_step();
    const std::int64_t steps = (static_cast<std::int64_t>(asked) + each - 1) / each;
    plan.rounds.push_back(steps * each - given);
    given = steps * each;
  }
  return plan;
}

std::int64_t total_steps(const Recipe& recipe) {
  std::int64_t tokens = 0;
  for (const std::int64_t round : halving_plan(recipe).rounds) tokens += round;
  return recipe.distill ? tokens / recipe.distill->tokens_per_step() : 0;
}

// [distill] as a candidate is trained: in every respect the same but for its length.
TrainBlock training_block(const Recipe& recipe, std::int64_t steps) {
  TrainBlock block = *recipe.distill;
  block.tokens.reset();
  block.steps = steps;
  block.save_every = recipe.search->save_every;
  block.keep_last = 1;
  block.eval_every = 0;  // measured between rounds
  block.init = "pruned";
  return block;
}

// The candidates with the plans that the scores lead to. Where the chosen layers give other counts than the config
// promised, the counts are those of the plan, and it must still be inside the budgets.
struct Field {
  Candidates all;
  std::vector<Plan> plans;
};

Field field_of(const Run& run) {
  Field field{candidates_from_config(run), {}};
  std::vector<Candidate> promised = std::move(field.all.list);
  field.all.list.clear();
  PruneSteps steps(run);
  steps.load_scores(run, 1);
  for (Candidate& candidate : promised) {
    steps.keep(candidate.keep);
    Plan plan = steps.plan(run.teacher_spec());
    if (!within(field.all.bounds, plan.student)) {
      spdlog::warn("search: {} is left out: with the units that the scores choose it is outside the budgets",
                   candidate.name);
      continue;
    }
    field.all.list.push_back(
        describe_candidate(field.all, *run.recipe().search, std::move(candidate.keep), plan.student));
    field.plans.push_back(std::move(plan));
  }
  if (field.all.list.empty()) fail("search: no candidate is left; expected layers that are alike, or wider budgets");
  return field;
}

class RunContest final : public Contest {
 public:
  RunContest(Run& run, const Field& field, const HalvingPlan& plan)
      : run_(run), field_(field), plan_(plan), began_(Clock::now()) {
    if (fs::exists(timings_path())) earlier_ = read_json(timings_path()).value("seconds", 0.0);
    run.ledger().resumed("search", earlier_);
  }

  double zero_shot(std::size_t candidate) override {
    const double nll = found_by_leader(run_.comm(), [&] {
      SlicedWeights view(run_.pruned_model(), field_.plans[candidate], run_.compute());
      return measure_loss(view);
    });
    spdlog::info("search   {}: nll {:.4f} before training", name(candidate), nll);
    return nll;
  }

  double trained(std::size_t candidate, std::size_t round, std::int64_t tokens) override {
    const Recipe& recipe = run_.recipe();
    SlicedWeights view(run_.pruned_model(), field_.plans[candidate], run_.compute());
    Model student(static_cast<WeightSource&>(view));
    if (!teaching_) teaching_ = open_teaching(run_, training_block(recipe, total_steps(recipe)));
    const TrainBlock block = training_block(recipe, tokens / recipe.distill->tokens_per_step());
    train_at(run_, block,
             {{checkpoints(candidate), folder(candidate) / "metrics.jsonl", {}}, "search", total_steps(recipe)},
             student, teaching_->weights.get(), teaching_->cache ? &*teaching_->cache : nullptr);
    const double nll = found_by_leader(run_.comm(), [&] { return measure_loss(student); });
    spdlog::info("search   {}: nll {:.4f} after round {}", name(candidate), nll, round);
    return nll;
  }

  void changed(const std::vector<Standing>& standings) override {
    if (!run_.leads()) return;
    write_json(timings_path(), {{"seconds", earlier_ + std::chrono::duration<double>(Clock::now() - began_).count()}});
    write_json(table_path(run_), search_to_json(field_.all, standings, plan_));
  }

  // What it was trained to is of no use to anyone any more, and as large as three models.
  void dropped(std::size_t candidate) override {
    if (!run_.leads()) return;
    std::error_code error;
    fs::remove_all(checkpoints(candidate), error);
    if (error)
      fail("{}: cannot remove the state of a candidate; got {}", checkpoints(candidate).string(), error.message());
  }

  static fs::path table_path(const Run& run) { return run.files().search_work() / "table.json"; }

 private:
  double measure_loss(WeightSource& weights) {
    EvalOptions options;
    options.windows = run_.recipe().search->windows;
    options.seq_length = run_.recipe().data.seq_length;
    return evaluate(weights, run_.data(measured_on(run_)), options).nll;
  }

  const std::string& name(std::size_t candidate) const { return field_.all.list[candidate].name; }
  fs::path folder(std::size_t candidate) const { return run_.files().search_work() / name(candidate); }
  fs::path checkpoints(std::size_t candidate) const { return folder(candidate) / "checkpoints"; }
  fs::path timings_path() const { return run_.files().search_work() / "timings.json"; }

  Run& run_;
  const Field& field_;
  const HalvingPlan& plan_;
  std::optional<Teaching> teaching_;
  Clock::time_point began_;
  double earlier_ = 0.0;
};

// Speeds that were measured stay what they are, so that a search which was stopped goes on with them.
class Speeds {
 public:
  explicit Speeds(Run& run) : run_(run), path_(run.files().search_work() / "throughput.json") {
    if (fs::exists(path_)) known_ = read_json(path_);
  }
  // Of a candidate, at `batch` sequences of `seq_length` tokens.
  double of(const std::string& name, const Plan& plan, std::int64_t batch, std::int64_t seq_length) {
    return found_by_leader(run_.comm(), [&] { return known_or_measured(name, plan, batch, seq_length); });
  }

 private:
  double known_or_measured(const std::string& name, const Plan& plan, std::int64_t batch, std::int64_t seq_length) {
    nlohmann::json& speed = known_[fmt::format("{} × {}", batch, seq_length)][name];
    if (!speed.is_number()) {
      throw_if_interrupted();
      SlicedWeights view(run_.pruned_model(), plan, run_.compute());
      Model student(static_cast<WeightSource&>(view));
      speed = tokens_per_second(student, batch, seq_length);
      write_json(path_, known_);
    }
    return speed.get<double>();
  }

  Run& run_;
  fs::path path_;
  nlohmann::json known_ = nlohmann::json::object();
};

// Leaves out the candidates that a budget of throughput shuts out.
void keep_fast(Run& run, Field& field) {
  Speeds speeds(run);
  for (const Bound& bound : field.all.bounds) {
    if (!bound.is_measured()) continue;
    Candidates kept = field.all;
    std::vector<Plan> plans;
    std::string slow;
    kept.list.clear();
    for (std::size_t i = 0; i < field.plans.size(); ++i) {
      Candidate& candidate = field.all.list[i];
      const double speed = speeds.of(candidate.name, field.plans[i], bound.batch, bound.basis.seq_length);
      const bool fits = excess(bound, std::llround(speed)) == 0.0;
      if (!fits) slow += fmt::format("\n  {}: {} tokens/s", candidate.name, with_commas(std::llround(speed)));
      if (!fits) continue;
      kept.list.push_back(std::move(candidate));
      plans.push_back(std::move(field.plans[i]));
    }
    if (kept.list.empty()) fail("search: no candidate meets the budget {}; got{}", describe(bound), slow);
    if (!slow.empty()) spdlog::info("search: outside the budget {}:{}", describe(bound), slow);
    field = {std::move(kept), std::move(plans)};
  }
}

// Tokens per second of the candidates that were kept to the end, measured once. They decide nothing: another machine
// would choose otherwise. They stay out of search.json, which is the same on every machine.
std::map<std::string, double> speeds_of(Run& run, const Field& field, const std::vector<Standing>& standings) {
  Speeds measured(run);
  std::map<std::string, double> speeds;
  for (std::size_t i = 0; i < standings.size(); ++i) {
    const std::string& name = field.all.list[i].name;
    if (!standings[i].dropped) speeds[name] = measured.of(name, field.plans[i], 1, run.recipe().data.seq_length);
  }
  return speeds;
}

}  // namespace

CountBasis count_basis(const Run& run) {
  return {static_cast<std::int64_t>(c10::elementSize(exported_dtype(run))), run.recipe().data.seq_length};
}

Candidates candidates_from_config(const Run& run) {
  const PruneSteps steps(run);
  Diagnostics diagnostics;
  Candidates all =
      find_candidates(run.teacher_spec(), steps.list(), *run.recipe().search, count_basis(run), diagnostics);
  diagnostics.throw_if_any();
  return all;
}

std::vector<std::int64_t> searched_sizes(const Run& run) {
  std::vector<std::string> axes;
  for (const PruneBlock& block : run.recipe().prune) axes.push_back(block.axis->name);
  return winner_of(read_json(run.files().search()), axes, run.files().search().string());
}

void discard_search(const Run& run, const std::string&) {
  std::error_code error;
  fs::remove_all(run.files().search_work(), error);
  if (error)
    fail("{}: cannot remove the search of another recipe; got {}", run.files().search_work().string(), error.message());
}

std::string search_inputs(Run& run) {
  const Recipe& recipe = run.recipe();
  SearchBlock search = *recipe.search;
  search.save_every = 0;  // these change no result
  search.throughput = false;
  Digest digest;
  digest.add(run.pruned_model().digest()).add(run.output_of("score")).add(search_text(search));
  if (!search.rounds.empty()) digest.add(run.distill_teacher().digest());
  if (!search.rounds.empty() && recipe.teacher_cache) digest.add(teacher_cache_text(recipe));
  for (const PruneBlock& block : recipe.prune) digest.add(run.component_digest(*block.axis)).add(target_text(block));
  const CountBasis basis = count_basis(run);
  digest.add(fmt::format("{} {} {}", basis.bytes_per_element, basis.seq_length, c10::toString(run.compute().dtype)));
  digest.add(run.data_digest(measured_on(run)));
  if (!search.rounds.empty()) digest.add(training_digest(run, training_block(recipe, total_steps(recipe))));
  return digest.hex();
}

std::string run_search(Run& run) {
  Field field = field_of(run);
  keep_fast(run, field);
  const HalvingPlan plan = halving_plan(run.recipe());
  if (plan.rounds.empty() && field.all.list.size() > 1)
    spdlog::warn("search: no rounds: the loss right after the cut decides, which does not rank candidates well");
  const fs::path path = RunContest::table_path(run);
  std::vector<Standing> standings(field.all.list.size());
  const bool known = run.leads() && fs::exists(path);
  const std::string table = run.comm().broadcast_text(known ? read_json(path).dump() : "", 0);
  if (!table.empty()) standings = standings_from_json(nlohmann::json::parse(table), field.all);
  RunContest contest(run, field, plan);
  halve(plan, standings, contest);
  for (std::size_t i = 0; i < standings.size(); ++i) {
    if (standings[i].rank > 1) contest.dropped(i);
  }
  std::map<std::string, double> speeds;
  if (run.recipe().search->throughput) speeds = speeds_of(run, field, standings);
  if (!run.leads()) return "";
  spdlog::info("search\n{}", search_to_text(field.all, standings, plan, speeds));
  write_json(run.files().search(), search_to_json(field.all, standings, plan));
  return digest_of_file(run.files().search());
}

}  // namespace espalier
