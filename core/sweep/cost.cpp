// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/cost.hpp"

#include <algorithm>

#include "core/forward/logit_rows.hpp"
#include "core/importance/job.hpp"
#include "core/model/counts.hpp"
#include "core/run/ledger.hpp"
#include "core/run/scores.hpp"
#include "core/run/stages.hpp"
#include "core/run/training_memory.hpp"

namespace espalier {
namespace {

double as_real(std::int64_t number) { return static_cast<double>(number); }

constexpr std::int64_t kEvalTokens = 4096;  // of a pass, about (core/eval/evaluate.hpp)
constexpr std::int64_t kLogit = 4;          // bytes

class Prediction {
 public:
  Prediction(const Recipe& recipe, const Registry& registry, Compute compute)
      : recipe_(recipe),
        run_(recipe, registry, compute),
        element_(static_cast<std::int64_t>(c10::elementSize(compute.dtype))),
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
    cost_.memory += program_bytes(run_.compute().device);
    return cost_;
  }

 private:
  double forward(const ModelSpec& spec, std::int64_t seq_length) const {
    return as_real(count(spec, element_, seq_length).flops_per_token);
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
    if (!recipe_.prune.empty()) cost_.memory = std::max(cost_.memory, scoring_memory(data, back));
    if (!data) return;
    cost_.scoring_flops = as_real(block.rounds * block.samples * block.seq_length) * (back ? 3.0 : 1.0) *
                          forward(teacher_, block.seq_length);
  }

  // The teacher with its passes; those that go back do so layer by layer.
  std::int64_t scoring_memory(bool data, bool back) const {
    TrainShape shape;
    shape.student = teacher_;
    shape.micro_batch = recipe_.score.micro_batch, shape.seq_length = recipe_.score.seq_length;
    shape.head_chunk = rows_of_logits(teacher_.vocab, run_.compute().device);
    shape.dtype_bytes = element_;
    shape.recompute = Recompute::layers;
    if (run_.compute().device.is_cuda()) shape.multiprocessors = kMultiprocessors;
    const TrainMemory memory = train_memory(shape);
    if (back) return memory.student + memory.activations + memory.working + memory.head;
    const std::int64_t rows = shape.micro_batch * shape.seq_length;
    return memory.student + (data ? forward_bytes(teacher_, rows, element_) : 0);
  }

  // The teacher with a pass, and logits with what their softmax needs.
  std::int64_t evaluation_memory(std::int64_t length) const {
    const std::int64_t tokens = std::max<std::int64_t>(kEvalTokens / length, 1) * length;
    const std::int64_t rows = std::min(tokens, rows_of_logits(teacher_.vocab, run_.compute().device));
    return count(teacher_, element_, 1).bytes + forward_bytes(teacher_, tokens, element_) +
           2 * kLogit * rows * teacher_.vocab;
  }

  void evaluate() {
    if (recipe_.data.valid.empty() && recipe_.data.valid_fraction <= 0) return;
    cost_.counts_eval = recipe_.eval.windows > 0;
    const std::int64_t length = recipe_.eval.seq_length;
    cost_.memory = std::max(cost_.memory, evaluation_memory(length));
    const double each = forward(teacher_, length) + (recipe_.distill ? 2.0 : 1.0) * forward(student_, length);
    cost_.eval_flops = as_real(recipe_.eval.windows * length) * each;
  }

  const Recipe& recipe_;
  Run run_;
  std::int64_t element_;  // bytes of a weight
  ModelSpec teacher_, student_;
  RunCost cost_;
};

std::string pace_key(at::Device device, int threads) {
  return device.is_cpu() ? fmt::format("cpu {} threads", threads) : "cuda";
}

fs::path pace_path(const Sweep& sweep) { return RunFiles{sweep.runs.front().recipe.output}.cache() / "pace.json"; }

// The kind of device that a finished run was evaluated on, and so trained on: "cpu", "cuda"; "": unknown.
std::string kind_of_device(const RunFiles& files) {
  try {
    const std::string device = read_json(files.eval()).at("protocol").at("device").get<std::string>();
    return device.substr(0, device.find(':'));
  } catch (const std::exception&) {  // a file that another run could not write
    return "";
  }
}

std::optional<double> pace_of_runs(const Sweep& sweep, const std::vector<RunCost>& costs, at::Device device) {
  double flops = 0.0, seconds = 0.0;
  for (std::size_t i = 0; i < sweep.runs.size(); ++i) {
    const RunFiles files{sweep.runs[i].recipe.output};
    if (!fs::exists(files.eval()) || !fs::exists(files.timings())) continue;
    // A stage that was taken over from another run took no time; distillation never is.
    if (!sweep.runs[i].recipe.distill || sweep.runs[i].recipe.correct) continue;
    if (kind_of_device(files) != c10::DeviceTypeName(device.type(), /*lower_case=*/true)) continue;
    seconds += Ledger(files).seconds("distill");
    flops += costs[i].training_flops;
  }
  return seconds > 0.0 && flops > 0.0 ? std::optional(flops / seconds) : std::nullopt;
}

}  // namespace

RunCost predict(const Recipe& recipe, const Registry& registry, Compute compute) {
  return Prediction(recipe, registry, compute).predict();
}

std::optional<double> known_pace(const Sweep& sweep, const std::vector<RunCost>& costs, at::Device device,
                                 int threads) {
  if (const std::optional<double> own = pace_of_runs(sweep, costs, device)) return own;
  const fs::path path = pace_path(sweep);
  if (!fs::exists(path)) return std::nullopt;
  const nlohmann::json known = read_json(path);
  const auto entry = known.find(pace_key(device, threads));
  return entry != known.end() && entry->is_number() ? std::optional(entry->get<double>()) : std::nullopt;
}

void keep_pace(const Sweep& sweep, const std::vector<RunCost>& costs, at::Device device, int threads) {
  const std::optional<double> pace = pace_of_runs(sweep, costs, device);
  if (!pace) return;
  const fs::path path = pace_path(sweep);
  nlohmann::json known = fs::exists(path) ? read_json(path) : nlohmann::json::object();
  known[pace_key(device, threads)] = *pace;
  write_json(path, known);
}

}  // namespace espalier
