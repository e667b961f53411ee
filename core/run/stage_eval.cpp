// SPDX-License-Identifier: Apache-2.0
// All models of a run on the same windows: the teacher, the student that training starts from, what was exported, and
// where there are such the teacher before its correction and the model that taught in its place. Each evaluation is
// kept in the cache that all runs share.
#include "core/base/digest.hpp"
#include "core/eval/evaluate.hpp"
#include "core/model/counts.hpp"
#include "core/run/scores.hpp"
#include "core/run/stages.hpp"
#include "core/run/training.hpp"

namespace espalier {

namespace {

using nlohmann::json;

EvalOptions eval_options(const Run& run) {
  EvalOptions options;
  options.windows = run.recipe().eval.windows;
  options.seq_length = run.recipe().eval.seq_length;
  options.tokenizer = tokenizer_name(run);
  return options;
}

// Evaluates, unless a model with this digest was evaluated with the same protocol before.
json measured(Run& run, const std::string& name, const std::string& model_digest,
              const std::function<std::unique_ptr<WeightSource>()>& open) {
  const EvalOptions options = eval_options(run);
  Digest key;
  key.add(model_digest).add(run.data_digest(DataPart::valid));
  key.add(fmt::format("{} {} {} {} {}", options.windows, options.seq_length, c10::toString(run.compute().dtype),
                      run.compute().device.str(), ESPALIER_VERSION));
  const fs::path cached = run.files().cache() / "eval" / (key.hex() + ".json");
  if (!fs::exists(cached)) {
    const std::unique_ptr<WeightSource> weights = open();
    const std::vector<TokenSource>& sources = run.data(DataPart::valid);
    write_json(cached, eval_to_json(evaluate(*weights, sources, options), name, run.compute(), sources, options));
  }
  json result = read_json(cached);
  result["model"] = name;
  return result;
}

json counts_of(const Checkpoint& checkpoint) {
  const Counts counts = count(checkpoint.spec(), static_cast<std::int64_t>(c10::elementSize(checkpoint.dtype())), 1);
  return {{"parameters", counts.parameters},
          {"non_embedding_parameters", counts.non_embedding_parameters},
          {"bytes", counts.bytes}};
}

std::int64_t tokens_of_training(const Recipe& recipe) {
  const std::optional<TrainBlock>& block = recipe.distill ? recipe.distill : recipe.correct;
  return block ? block->total_steps() * block->tokens_per_step() : 0;
}

}  // namespace

std::string tokenizer_name(const Run& run) {
  const std::string tokenizer = run.tokenizer();
  return tokenizer == "bytes" ? tokenizer : fs::path(tokenizer).filename().string();
}

std::string eval_inputs(Run& run) {
  const EvalOptions options = eval_options(run);
  Digest digest;
  digest.add(run.output_of("export"))
      .add(run.teacher().digest())
      .add(run.output_of("slice"))
      .add(run.data_digest(DataPart::valid));
  if (run.recipe().prunes_original()) digest.add(run.given_teacher().digest());
  if (run.recipe().has_distill_teacher()) digest.add(run.distill_teacher().digest());
  digest.add(fmt::format("{} {} {}", options.windows, options.seq_length, c10::toString(run.compute().dtype)));
  return digest.hex();
}

std::string run_eval(Run& run) {
  const Checkpoint exported(run.files().exported());
  const auto open = [&](const Checkpoint& checkpoint) {
    return [&] { return open_weights(checkpoint, run.compute()); };
  };
  json result = measured(run, "export", exported.digest(), open(exported));
  const bool has_student = !run.recipe().prune.empty() || run.recipe().distill;
  if (has_student) result["teacher"] = measured(run, "teacher", run.teacher().digest(), open(run.teacher()));
  if (run.recipe().prunes_original()) {
    result["original"] = measured(run, "original", run.given_teacher().digest(), open(run.given_teacher()));
  }
  if (run.recipe().has_distill_teacher()) {
    const Checkpoint& teacher = run.distill_teacher();
    result["distill_teacher"] = measured(run, "distill_teacher", teacher.digest(), open(teacher));
  }
  if (run.recipe().distill) {
    result["before"] = measured(run, "before", starting_student_digest(run),
                                [&] { return std::make_unique<Model>(starting_student(run)); });
  }
  result["model_counts"] = counts_of(exported);
  result["training_tokens"] = tokens_of_training(run.recipe());
  write_json(run.files().eval(), result);
  return digest_of_file(run.files().eval());
}

}  // namespace espalier
