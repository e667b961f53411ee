// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/cost.hpp"

#include <algorithm>

#include "core/importance/job.hpp"
#include "core/model/counts.hpp"
#include "core/run/ledger.hpp"
#include "core/run/scores.hpp"
#include "core/run/stages.hpp"
#include "core/run/training_memory.hpp"

namespace espalier {
namespace {

// The program with LibTorch and the plugins, before any model.
constexpr std::int64_t kProgram = std::int64_t{320} << 20;
constexpr std::int64_t kFloat = 4;  // bytes; everything is computed in float32 on the CPU

double as_real(std::int64_t number) { return static_cast<double>(number); }

// What the backward pass needs again, of `rows` tokens: a few copies of every intermediate of a layer.
std::int64_t activation_bytes(const ModelSpec& spec, std::int64_t rows) {
  std::int64_t elements = 4 * spec.hidden;
  for (const LayerSpec& layer : spec.layers) {
    elements += 6 * spec.hidden;
    if (layer.attention) elements += 4 * (layer.heads() + layer.kv_groups) * layer.head_dim;
    if (layer.mlp) elements += 5 * layer.ffn;
  }
  return rows * elements * kFloat;
}

class Prediction {
 public:
  Prediction(const Recipe& recipe, const Registry& registry)
      : recipe_(recipe),
        run_(recipe, registry, {at::kFloat, at::kCPU}),
        teacher_(run_.teacher_spec()),
        student_(plan_from_config(run_).student) {}

  RunCost predict() {
    if (recipe_.correct) train(*recipe_.correct, teacher_, recipe_.teacher.spec ? nullptr : &teacher_);
    const ModelSpec distill_teacher = recipe_.distill ? run_.distill_teacher_spec() : teacher_;
    if (recipe_.distill) train(*recipe_.distill, student_, &distill_teacher);
    for (const auto& [table, shape] : training_shapes(run_, student_, run_.compute()))
      cost_.memory = std::max(cost_.memory, train_memory(shape).total());
    score();
    evaluate();
    cost_.memory += kProgram;
    return cost_;
  }

 private:
  static double forward(const ModelSpec& spec, std::int64_t seq_length) {
    return as_real(count(spec, kFloat, seq_length).flops_per_token);
  }

  void train(const TrainBlock& block, const ModelSpec& student, const ModelSpec* teacher) {
    const std::int64_t tokens = block.total_steps() * block.tokens_per_step();
    cost_.training_flops += as_real(tokens) * 3.0 * forward(student, block.seq_length);
    if (teacher != nullptr && needs_teacher(run_, block))
      cost_.training_flops += as_real(tokens) * forward(*teacher, block.seq_length);
    cost_.training_tokens += tokens;
    cost_.training_steps += block.total_steps();
  }

  void score() {
    bool data = false, back = false;
    for (std::size_t i = 0; i < recipe_.prune.size(); ++i) {
      const ScoreJob job = block_job(run_, i, 1);
      data = data || needs_data(job);
      back = back || needs_of(job).evidence == Evidence::gradients;
    }
    const ScoreBlock& block = recipe_.score;
    const std::int64_t rows = block.micro_batch * block.seq_length;
    if (!recipe_.prune.empty())
      cost_.memory = std::max(cost_.memory, count(teacher_, kFloat, 1).bytes + activation_bytes(teacher_, rows));
    if (!data) return;
    cost_.scoring_flops = as_real(block.rounds * block.samples * block.seq_length) * (back ? 3.0 : 1.0) *
                          forward(teacher_, block.seq_length);
  }

  void evaluate() {
    if (recipe_.data.valid.empty() && recipe_.data.valid_fraction <= 0) return;
    cost_.counts_eval = recipe_.eval.windows > 0;
    const std::int64_t length = recipe_.eval.seq_length;
    const double each = forward(teacher_, length) + (recipe_.distill ? 2.0 : 1.0) * forward(student_, length);
    cost_.eval_flops = as_real(recipe_.eval.windows * length) * each;
  }

  const Recipe& recipe_;
  Run run_;
  ModelSpec teacher_, student_;
  RunCost cost_;
};

std::string pace_key(int threads) { return fmt::format("cpu {} threads", threads); }

fs::path pace_path(const Sweep& sweep) { return RunFiles{sweep.runs.front().recipe.output}.cache() / "pace.json"; }

std::optional<double> pace_of_runs(const Sweep& sweep, const std::vector<RunCost>& costs) {
  double flops = 0.0, seconds = 0.0;
  for (std::size_t i = 0; i < sweep.runs.size(); ++i) {
    const RunFiles files{sweep.runs[i].recipe.output};
    if (!fs::exists(files.eval()) || !fs::exists(files.timings())) continue;
    // A stage that was taken over from another run took no time; distillation never is.
    if (!sweep.runs[i].recipe.distill || sweep.runs[i].recipe.correct) continue;
    seconds += Ledger(files).seconds("distill");
    flops += costs[i].training_flops;
  }
  return seconds > 0.0 && flops > 0.0 ? std::optional(flops / seconds) : std::nullopt;
}

}  // namespace

RunCost predict(const Recipe& recipe, const Registry& registry) { return Prediction(recipe, registry).predict(); }

std::optional<double> known_pace(const Sweep& sweep, const std::vector<RunCost>& costs, int threads) {
  if (const std::optional<double> own = pace_of_runs(sweep, costs)) return own;
  const fs::path path = pace_path(sweep);
  if (!fs::exists(path)) return std::nullopt;
  const nlohmann::json known = read_json(path);
  const auto entry = known.find(pace_key(threads));
  return entry != known.end() && entry->is_number() ? std::optional(entry->get<double>()) : std::nullopt;
}

void keep_pace(const Sweep& sweep, const std::vector<RunCost>& costs, int threads) {
  const std::optional<double> pace = pace_of_runs(sweep, costs);
  if (!pace) return;
  const fs::path path = pace_path(sweep);
  nlohmann::json known = fs::exists(path) ? read_json(path) : nlohmann::json::object();
  known[pace_key(threads)] = *pace;
  write_json(path, known);
}

}  // namespace espalier
