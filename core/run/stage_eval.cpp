// SPDX-License-Identifier: Apache-2.0
// All models of a run on the same windows and choice tasks: the teacher, the student that training starts from, what
// was exported, and where there are such the teacher before its correction and the model that taught in its place. Each
// evaluation is kept in the cache that all runs share, and each task by itself.
#include <ATen/Parallel.h>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/data/path_lock.hpp"
#include "core/eval/evaluate.hpp"
#include "core/eval/tasks.hpp"
#include "core/model/counts.hpp"
#include "core/run/scores.hpp"
#include "core/run/stages.hpp"
#include "core/run/tasks.hpp"
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

// A model that is opened when something about it is not known yet.
class Subject {
 public:
  Subject(std::string name, std::string digest, std::function<std::unique_ptr<WeightSource>()> open)
      : name_(std::move(name)), digest_(std::move(digest)), open_(std::move(open)) {}
  const std::string& name() const { return name_; }
  const std::string& digest() const { return digest_; }
  WeightSource& weights() {
    if (!weights_) weights_ = open_();
    return *weights_;
  }

 private:
  std::string name_, digest_;
  std::function<std::unique_ptr<WeightSource>()> open_;
  std::unique_ptr<WeightSource> weights_;
};

std::string machine_key(const Run& run) {
  return fmt::format("{} {} {} {}", c10::toString(run.compute().dtype), run.compute().device.str(),
                     at::get_num_threads(), ESPALIER_VERSION);
}

// What `measure` says, unless it said so before under this key.
json remembered(const Run& run, const std::string& key, const std::function<json()>& measure) {
  const fs::path cached = run.files().cache() / "eval" / (key + ".json");
  const PathLock lock(cached);
  if (!fs::exists(cached)) write_json(cached, measure());
  return read_json(cached);
}

fs::path documents_of(const RunFiles& files, const std::string& model) {
  return files.documents() / (model + ".safetensors");
}

// What an evaluation left in the cache; none when a part of it is missing or damaged.
std::optional<DocumentsFile> cached_documents(const fs::path& path) {
  if (!fs::exists(path)) return std::nullopt;
  try {
    return load_documents(path);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// An evaluation is its numbers and its losses document by document: both are kept under one key, and without the
// second it is measured again. The name in the file is the run's own, whichever run measured first.
json measured_data(Run& run, Subject& subject) {
  const std::vector<TokenSource>& sources = run.data(DataPart::valid);
  const EvalOptions options = eval_options(run);
  if (sources.empty()) return model_to_json(subject.name(), run.compute(), options.tokenizer);
  Digest key;
  key.add(subject.digest()).add(run.data_digest(DataPart::valid));
  key.add(fmt::format("{} {} {}", options.windows, options.seq_length, machine_key(run)));
  const fs::path cached = run.files().cache() / "eval" / key.hex();
  const PathLock lock(cached);  // runs that go on beside each other share a teacher: the second waits for its losses
  const fs::path numbers = cached.string() + ".json", losses = cached.string() + ".safetensors";
  std::optional<DocumentsFile> documents = cached_documents(losses);
  json result;
  if (documents && fs::exists(numbers)) {
    result = read_json(numbers);
  } else {
    EvalResult evaluated = evaluate(subject.weights(), sources, options);
    result = eval_to_json(evaluated, subject.name(), run.compute(), sources, options);
    documents = DocumentsFile{subject.name(), result["protocol"], std::move(evaluated.documents)};
    save_documents(losses, *documents);
    write_json(numbers, result);
  }
  documents->model = subject.name();
  save_documents(documents_of(run.files(), subject.name()), *documents);
  return result;
}

json measured_task(const Run& run, Subject& subject, const TaskSource& source, const Tokenizer& tokenizer) {
  Digest key;
  key.add(subject.digest()).add(task_digest(source, tokenizer)).add(machine_key(run));
  return remembered(run, key.hex(), [&] {
    const ChoiceTask task(source, tokenizer, subject.weights().spec());
    return task_to_json(evaluate_task(subject.weights(), task), task, tokenizer, subject.weights().spec());
  });
}

json measured(Run& run, Subject subject) {
  json result = measured_data(run, subject);
  result["model"] = subject.name();
  const std::vector<TaskBlock>& tasks = run.recipe().eval.tasks;
  if (tasks.empty()) return result;
  const Tokenizer tokenizer = open_tokenizer(run.tokenizer());
  for (const TaskBlock& task : tasks)
    result["tasks"][task.name] = measured_task(run, subject, source_of(run, task), tokenizer);
  return result;
}

json counts_of(const Checkpoint& checkpoint, std::int64_t seq_length) {
  const Counts counts =
      count(checkpoint.spec(), static_cast<std::int64_t>(c10::elementSize(checkpoint.dtype())), seq_length);
  return {{"parameters", counts.parameters},
          {"non_embedding_parameters", counts.non_embedding_parameters},
          {"bytes", counts.bytes},
          {"flops_per_token", counts.flops_per_token},
          {"kv_bytes_per_token", counts.kv_bytes_per_token}};
}

// Of eval.json and every file of losses beside it; "" when one of them is missing.
std::string digest_of_eval(const RunFiles& files) {
  Digest digest;
  digest.add(digest_of_file(files.eval()));
  const json eval = read_json(files.eval());
  const auto add = [&](const std::string& model, const json& measured) {
    if (!measured.is_object() || !measured.contains("nll")) return true;
    const fs::path path = documents_of(files, model);
    if (!fs::exists(path)) return false;
    digest.add(model).add(digest_of_file(path));
    return true;
  };
  if (!add("export", eval)) return "";
  for (const auto& [model, measured] : eval.items()) {
    if (!add(model, measured)) return "";
  }
  return digest.hex();
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
  const std::vector<TaskBlock>& tasks = run.recipe().eval.tasks;
  if (tasks.empty()) return digest.hex();
  const Tokenizer tokenizer = open_tokenizer(run.tokenizer());
  for (const TaskBlock& task : tasks) digest.add(task.name).add(task_digest(source_of(run, task), tokenizer));
  return digest.hex();
}

std::string run_eval(Run& run) {
  const Checkpoint exported(run.files().exported());
  fs::remove_all(run.files().documents());  // of models that the recipe may not have any more
  const auto open = [&](const Checkpoint& checkpoint) {
    return [&] { return open_weights(checkpoint, run.compute()); };
  };
  json result = measured(run, {"export", exported.digest(), open(exported)});
  const bool has_student = !run.recipe().prune.empty() || run.recipe().distill;
  if (has_student) result["teacher"] = measured(run, {"teacher", run.teacher().digest(), open(run.teacher())});
  if (run.recipe().prunes_original()) {
    result["original"] = measured(run, {"original", run.given_teacher().digest(), open(run.given_teacher())});
  }
  if (run.recipe().has_distill_teacher()) {
    const Checkpoint& teacher = run.distill_teacher();
    result["distill_teacher"] = measured(run, {"distill_teacher", teacher.digest(), open(teacher)});
  }
  if (run.recipe().distill) {
    result["before"] = measured(
        run, {"before", starting_student_digest(run), [&] { return std::make_unique<Model>(starting_student(run)); }});
  }
  result["model_counts"] = counts_of(exported, run.recipe().data.seq_length);
  result["training_tokens"] = tokens_of_training(run.recipe());
  write_json(run.files().eval(), result);
  return digest_of_eval(run.files());
}

bool eval_intact(const RunFiles& files, const std::string& output) { return digest_of_eval(files) == output; }

}  // namespace espalier
