// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/cli/eval_model.hpp"
#include "core/report/speed_table.hpp"
#include "core/run/device.hpp"
#include "core/run/run.hpp"
#include "core/run/scores.hpp"

namespace espalier {

namespace {

// What the command line asks for, before anything is opened.
struct Asked {
  LossRequest losses;
  TextRequest texts;
  bool speed = false;
};

Asked asked_of(const CommandLine& line) {
  Asked asked{loss_request_of(line), text_request_of(line), line.has("speed")};
  if (asked.losses.empty() && asked.texts.prompts.empty() && !asked.speed) {
    reject(
        "espalier eval: nothing to measure; expected --data (a token file, text or a glob), --task (choice tasks, "
        ".jsonl), --speed or --generate");
  }
  if (asked.speed) check_speed_options(line);
  const std::size_t models = line.all("MODEL").size();
  for (const char* file : {"dump", "documents"}) {
    if (line.has(file) && models > 1) reject("--{}: is of one model; got {} models", file, models);
  }
  return asked;
}

std::string tokenizer_of(const CommandLine& line, const fs::path& model) {
  if (line.has("tokenizer")) return line.get("tokenizer");
  return fs::exists(model / "tokenizer.json") ? model.string() : "bytes";
}

nlohmann::json measure(const CommandLine& line, const Asked& asked, const EvalModel& model, const Compute& compute) {
  const Losses losses = open_losses(line, asked.losses, model);
  if (asked.losses.empty() && asked.texts.prompts.empty())
    return model_to_json(model.name, compute, losses.options.tokenizer);
  const std::unique_ptr<WeightSource> weights = open_weights(model.checkpoint, compute);
  nlohmann::json measured = measure_losses(*weights, model.name, losses);
  if (!asked.texts.prompts.empty()) measured["generated"] = generate_texts(*weights, model, asked.texts);
  return measured;
}

std::string text_of(const nlohmann::json& result) {
  std::string text;
  const bool several = result.contains("models");
  for (const nlohmann::json& model : several ? result["models"] : nlohmann::json::array({result})) {
    const std::string of = losses_text(model) + (model.contains("generated") ? texts_text(model["generated"]) : "");
    text += several && !of.empty() ? model["model"].get<std::string>() + "\n" + of : of;
  }
  if (result.contains("speed")) text += speed_text(result["speed"]);
  return text;
}

po::options_description options() {
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
      ("documents", po::value<std::string>(), "write the nll of every document to this safetensors file")
      ("generate", po::value<std::vector<std::string>>()->composing(), "go on from this text, greedily; may be repeated");
  // clang-format on
  add_speed_options(own);
  return own;
}

}  // namespace

int verb_eval(const Arguments& arguments) {
  CommandLine line("eval", options(), {"MODEL..."});
  if (!line.parse(arguments)) return 0;
  const Asked asked = asked_of(line);
  std::vector<fs::path> folders;
  for (const std::string& name : line.all("MODEL")) folders.push_back(checkpoint_folder(name));
  const Compute compute = open_device(line.device());
  std::vector<EvalModel> models;
  for (std::size_t i = 0; i < folders.size(); ++i)
    models.push_back({line.all("MODEL")[i], Checkpoint(folders[i]), tokenizer_of(line, folders[i])});
  watch_signals();
  nlohmann::json measured = nlohmann::json::array();
  for (const EvalModel& model : models) measured.push_back(measure(line, asked, model, compute));
  nlohmann::json result = models.size() == 1 ? measured[0] : nlohmann::json{{"models", measured}};
  if (asked.speed) result["speed"] = measure_speeds(line, models, compute, asked.losses);
  if (line.json()) {
    print_json(result);
  } else {
    std::cout << text_of(result);
  }
  return 0;
}

}  // namespace espalier
