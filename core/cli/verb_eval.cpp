// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/strings.hpp"
#include "core/cli/command_line.hpp"
#include "core/data/prepare.hpp"
#include "core/data/tokenizer.hpp"
#include "core/eval/evaluate.hpp"
#include "core/eval/tasks.hpp"
#include "core/recipe/recipe.hpp"
#include "core/run/device.hpp"
#include "core/run/run.hpp"
#include "core/run/scores.hpp"

namespace espalier {

namespace {

std::string tokenizer_of(const CommandLine& line, const fs::path& model) {
  if (line.has("tokenizer")) return line.get("tokenizer");
  return fs::exists(model / "tokenizer.json") ? model.string() : "bytes";
}

std::string task_line(const std::string& name, const nlohmann::json& task) {
  const auto share = [&](const std::string& key) {
    const nlohmann::json& error = task[key + "_stderr"];
    return fmt::format("{:.4f}", task[key].get<double>()) +
           (error.is_number() ? fmt::format(" ± {:.4f}", error.get<double>()) : "");
  };
  return fmt::format("{}: accuracy {}, by length {}; {} items, {} shots\n", name, share("accuracy"),
                     share("accuracy_norm"), with_commas(task["items"].get<std::int64_t>()),
                     task["shots"].get<std::int64_t>());
}

std::string text_of(const nlohmann::json& result) {
  const auto number = [](const nlohmann::json& value) {
    return value.is_number() ? fmt::format("{:.4f}", value.get<double>()) : std::string("unknown");
  };
  const nlohmann::json& protocol = result["protocol"];
  std::string text;
  if (result.contains("nll")) {
    text += fmt::format("nll {} nats per token, perplexity {}, bits per byte {}\n", number(result["nll"]),
                        number(result["perplexity"]), number(result["bits_per_byte"]));
    text += fmt::format(
        "{} predicted tokens of {} documents in {} windows of {} tokens, not overlapping; computed in {}\n",
        with_commas(result["tokens"].get<std::int64_t>()), with_commas(result["documents"].get<std::int64_t>()),
        with_commas(protocol["windows"].get<std::int64_t>()), protocol["seq_length"].get<std::int64_t>(),
        protocol["dtype"].get<std::string>());
  }
  for (const auto& [name, task] : result["tasks"].items()) text += task_line(name, task);
  return text;
}

// What --data, --task and the options beside them ask for.
struct Wanted {
  std::vector<std::string> data;
  std::vector<TaskSource> tasks;
  EvalOptions options;
};

Wanted wanted_of(const CommandLine& line) {
  Wanted wanted;
  if (line.has("data")) wanted.data = line.all("data");
  if (line.has("task")) {
    for (const std::string& file : line.all("task"))
      wanted.tasks.push_back({task_name_of(file), file, line.number("shots"), 0});
  }
  if (wanted.data.empty() && wanted.tasks.empty()) {
    reject(
        "espalier eval: nothing to measure; expected --data (a token file, text or a glob) or --task (choice tasks, "
        ".jsonl)");
  }
  if (line.has("dump") && wanted.data.empty()) reject("--dump: writes losses of --data, which is missing");
  if (line.has("documents") && wanted.data.empty()) reject("--documents: writes losses of --data, which is missing");
  if (line.number("shots") < 0) reject("--shots: out of range; got {}; expected 0 or more", line.number("shots"));
  if (line.number("seed") < 0) reject("--seed: out of range; got {}; expected 0 or more", line.number("seed"));
  for (TaskSource& task : wanted.tasks) task.seed = static_cast<std::uint64_t>(line.number("seed"));
  wanted.options.seq_length = line.number("seq-length");
  wanted.options.windows = line.number("windows");
  wanted.options.dump = line.get("dump");
  if (wanted.options.seq_length < 2)
    reject("--seq-length: too short; got {}; expected at least 2", wanted.options.seq_length);
  if (wanted.options.windows < 0) reject("--windows: out of range; got {}; expected 0 or more", wanted.options.windows);
  return wanted;
}

std::vector<TokenSource> sources_of(const CommandLine& line, const Wanted& wanted, const std::string& tokenizer) {
  if (wanted.data.empty()) return {};
  DataRequest request;
  for (const std::string& path : wanted.data) request.sources.push_back({path, std::nullopt, path});
  request.tokenizer = tokenizer;
  request.token_type = line.get("token-type");
  request.cache = line.get("cache");
  return prepare(request, Split::all, 0.0);
}

nlohmann::json measure(WeightSource& weights, const std::string& model, const std::vector<TokenSource>& sources,
                       const std::vector<ChoiceTask>& tasks, const Tokenizer& tokenizer, const EvalOptions& options,
                       const fs::path& documents) {
  nlohmann::json measured = model_to_json(model, weights.compute(), options.tokenizer);
  if (!sources.empty()) {
    const EvalResult result = evaluate(weights, sources, options);
    measured = eval_to_json(result, model, weights.compute(), sources, options);
    if (!documents.empty()) save_documents(documents, {model, measured["protocol"], result.documents});
    measured["tokens_per_s"] = static_cast<double>(result.all.tokens) / std::max(result.seconds, 1e-9);
  }
  for (const ChoiceTask& task : tasks) {
    measured["tasks"][task.source().name] = task_to_json(evaluate_task(weights, task), task, tokenizer, weights.spec());
  }
  return measured;
}

}  // namespace

int verb_eval(const Arguments& arguments) {
  po::options_description own;
  // clang-format off
  own.add_options()
      ("data", po::value<std::vector<std::string>>()->composing(), "packed tokens, a raw .bin, text, JSONL or a glob; may be repeated")
      ("token-type", po::value<std::string>()->default_value(""), "uint8, uint16 or int32, for a raw .bin")
      ("tokenizer", po::value<std::string>(), "bytes, a folder or a tokenizer.json; default: what the model brings")
      ("seq-length", po::value<std::int64_t>()->default_value(2048), "tokens of a window; each predicts all but its first")
      ("windows", po::value<std::int64_t>()->default_value(0), "at most this many windows, evenly spaced; 0: all")
      ("cache", po::value<std::string>()->default_value("runs/.cache/tokens"), "folder for packed text")
      ("task", po::value<std::vector<std::string>>()->composing(), "choice tasks, .jsonl or .jsonl.gz; may be repeated")
      ("shots", po::value<std::int64_t>()->default_value(0), "solved examples of the same file in front of each item of a task")
      ("seed", po::value<std::int64_t>()->default_value(1234), "draws the shots")
      ("dump", po::value<std::string>(), "write every token's nll and every window's last logits to this safetensors file")
      ("documents", po::value<std::string>(), "write the nll of every document to this safetensors file");
  // clang-format on
  CommandLine line("eval", own, {"MODEL"});
  if (!line.parse(arguments)) return 0;
  Wanted wanted = wanted_of(line);
  const fs::path folder = checkpoint_folder(line.all("MODEL").front());
  const Compute compute = open_device(line.device());
  const Checkpoint checkpoint(folder);
  watch_signals();
  const std::string tokenizer_path = tokenizer_of(line, folder);
  const std::vector<TokenSource> sources = sources_of(line, wanted, tokenizer_path);
  wanted.options.tokenizer = tokenizer_path == "bytes" ? "bytes" : fs::path(tokenizer_path).filename().string();
  Tokenizer tokenizer;
  if (!wanted.tasks.empty()) tokenizer = open_tokenizer(tokenizer_path);
  std::vector<ChoiceTask> tasks;
  for (const TaskSource& task : wanted.tasks) tasks.emplace_back(task, tokenizer, checkpoint.spec());
  const std::unique_ptr<WeightSource> weights = open_weights(checkpoint, compute);
  const nlohmann::json json =
      measure(*weights, line.all("MODEL").front(), sources, tasks, tokenizer, wanted.options, line.get("documents"));
  if (line.json()) {
    print_json(json);
  } else {
    std::cout << text_of(json);
  }
  return 0;
}

}  // namespace espalier
