// SPDX-License-Identifier: Apache-2.0
// A model that `espalier eval` is given, and what it is asked for, by concept: losses and tasks, text, speed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/checkpoint/checkpoint.hpp"
#include "core/cli/command_line.hpp"
#include "core/data/tokens.hpp"
#include "core/eval/choice_task.hpp"
#include "core/eval/evaluate.hpp"

namespace espalier {

struct EvalModel {
  std::string name;  // as the user calls it
  Checkpoint checkpoint;
  std::string tokenizer;  // --tokenizer, or what the model brings
};

// --data, --task and the options beside them.
struct LossRequest {
  std::vector<std::string> data;
  std::vector<TaskSource> tasks;
  EvalOptions options;
  fs::path documents;  // a file for the losses by document; empty: none
  bool empty() const { return data.empty() && tasks.empty(); }
};
LossRequest loss_request_of(const CommandLine& line);  // RecipeError: options out of range

// --data as one model reads it; empty without.
std::vector<TokenSource> eval_sources(const CommandLine& line, const LossRequest& request, const EvalModel& model);

// What a model is measured by, made before its weights are read.
struct Losses {
  std::vector<TokenSource> sources;
  std::vector<ChoiceTask> tasks;
  Tokenizer tokenizer;
  EvalOptions options;
  fs::path documents;
};
Losses open_losses(const CommandLine& line, const LossRequest& request, const EvalModel& model);
nlohmann::json measure_losses(WeightSource& weights, const std::string& model, const Losses& losses);
std::string losses_text(const nlohmann::json& measured);

// --generate and --new-tokens: "generated" of a model, a list of {"prompt", "text", "tokens", "stopped"}. No special
// token stands before a prompt, and a text ends at the tokenizer's end of a document, which "tokens" holds. What is no
// UTF-8 in "text" is replaced there by U+FFFD.
struct TextRequest {
  std::vector<std::string> prompts;
  std::int64_t new_tokens = 0;
};
TextRequest text_request_of(const CommandLine& line);
nlohmann::json generate_texts(WeightSource& weights, const EvalModel& model, const TextRequest& request);
std::string texts_text(const nlohmann::json& generated);

// --speed of all models in one run: speed.json. The options also hold --new-tokens.
void add_speed_options(po::options_description& options);
void check_speed_options(const CommandLine& line);
nlohmann::json measure_speeds(const CommandLine& line, const std::vector<EvalModel>& models, const Compute& compute,
                              const LossRequest& request);

}  // namespace espalier
