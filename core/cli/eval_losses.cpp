// SPDX-License-Identifier: Apache-2.0
#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/cli/eval_model.hpp"
#include "core/data/prepare.hpp"
#include "core/data/tokenizer.hpp"
#include "core/eval/document_losses.hpp"
#include "core/eval/tasks.hpp"

namespace espalier {

namespace {

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

}  // namespace

std::string losses_text(const nlohmann::json& measured) {
  const auto number = [](const nlohmann::json& value) {
    return value.is_number() ? fmt::format("{:.4f}", value.get<double>()) : std::string("unknown");
  };
  const nlohmann::json& protocol = measured["protocol"];
  std::string text;
  if (measured.contains("nll")) {
    text += fmt::format("nll {} nats per token, perplexity {}, bits per byte {}\n", number(measured["nll"]),
                        number(measured["perplexity"]), number(measured["bits_per_byte"]));
    text += fmt::format(
        "{} predicted tokens of {} documents in {} windows of {} tokens, not overlapping; computed in {}\n",
        with_commas(measured["tokens"].get<std::int64_t>()), with_commas(measured["documents"].get<std::int64_t>()),
        with_commas(protocol["windows"].get<std::int64_t>()), protocol["seq_length"].get<std::int64_t>(),
        protocol["dtype"].get<std::string>());
  }
  for (const auto& [name, task] : measured["tasks"].items()) text += task_line(name, task);
  return text;
}

LossRequest loss_request_of(const CommandLine& line) {
  LossRequest wanted;
  if (line.has("data")) wanted.data = line.all("data");
  if (line.has("task")) {
    for (const std::string& file : line.all("task"))
      wanted.tasks.push_back({task_name_of(file), file, line.number("shots"), 0});
  }
  for (const char* file : {"dump", "documents"}) {
    if (line.has(file) && wanted.data.empty()) reject("--{}: writes losses of --data, which is missing", file);
  }
  if (line.number("shots") < 0) reject("--shots: out of range; got {}; expected 0 or more", line.number("shots"));
  if (line.number("seed") < 0) reject("--seed: out of range; got {}; expected 0 or more", line.number("seed"));
  for (TaskSource& task : wanted.tasks) task.seed = static_cast<std::uint64_t>(line.number("seed"));
  wanted.options.seq_length = line.number("seq-length");
  wanted.options.windows = line.number("windows");
  wanted.options.dump = line.get("dump");
  wanted.documents = line.get("documents");
  if (wanted.options.seq_length < 2)
    reject("--seq-length: too short; got {}; expected at least 2", wanted.options.seq_length);
  if (wanted.options.windows < 0) reject("--windows: out of range; got {}; expected 0 or more", wanted.options.windows);
  return wanted;
}

std::vector<TokenSource> eval_sources(const CommandLine& line, const LossRequest& wanted, const EvalModel& model) {
  if (wanted.data.empty()) return {};
  DataRequest request;
  for (const std::string& path : wanted.data) request.sources.push_back({path, std::nullopt, path});
  request.tokenizer = model.tokenizer;
  request.token_type = line.get("token-type");
  request.cache = line.get("cache");
  return prepare(request, Split::all, 0.0);
}

Losses open_losses(const CommandLine& line, const LossRequest& request, const EvalModel& model) {
  Losses losses{eval_sources(line, request, model), {}, {}, request.options, request.documents};
  losses.options.tokenizer = model.tokenizer == "bytes" ? "bytes" : fs::path(model.tokenizer).filename().string();
  if (!request.tasks.empty()) losses.tokenizer = open_tokenizer(model.tokenizer);
  for (const TaskSource& task : request.tasks)
    losses.tasks.emplace_back(task, losses.tokenizer, model.checkpoint.spec());
  return losses;
}

nlohmann::json measure_losses(WeightSource& weights, const std::string& model, const Losses& losses) {
  nlohmann::json measured = model_to_json(model, weights.compute(), losses.options.tokenizer);
  if (!losses.sources.empty()) {
    const EvalResult result = evaluate(weights, losses.sources, losses.options);
    measured = eval_to_json(result, model, weights.compute(), losses.sources, losses.options);
    if (!losses.documents.empty()) save_documents(losses.documents, {model, measured["protocol"], result.documents});
    measured["tokens_per_s"] = static_cast<double>(result.all.tokens) / std::max(result.seconds, 1e-9);
  }
  for (const ChoiceTask& task : losses.tasks) {
    measured["tasks"][task.source().name] =
        task_to_json(evaluate_task(weights, task), task, losses.tokenizer, weights.spec());
  }
  return measured;
}

}  // namespace espalier
