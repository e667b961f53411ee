// SPDX-License-Identifier: Apache-2.0
#include "core/base/error.hpp"
#include "core/cli/eval_model.hpp"
#include "core/eval/speed.hpp"
#include "core/run/scores.hpp"

namespace espalier {

namespace {

// The first windows of the first source.
at::Tensor prompt_from(const TokenSource& source, std::int64_t batch, std::int64_t prompt_tokens) {
  const Windows windows(source, prompt_tokens);
  if (windows.size() < batch) {
    fail("{}: too short for the prompts of a batch; got {} windows of {} tokens; expected {}", source.name,
         windows.size(), prompt_tokens, batch);
  }
  return windows.tokens(0, batch);
}

}  // namespace

void add_speed_options(po::options_description& options) {
  // clang-format off
  options.add_options()
      ("speed", "time to first token, tokens per second and peak memory, of all models in turns")
      ("prompt-tokens", po::value<std::int64_t>()->default_value(128), "of each text of --speed: the first ones of --data, else counted")
      ("new-tokens", po::value<std::int64_t>()->default_value(32), "tokens to generate, of each text")
      ("batch", po::value<std::int64_t>()->default_value(1), "texts of --speed at a time")
      ("repeats", po::value<std::int64_t>()->default_value(5), "rounds of --speed over the models");
  // clang-format on
}

void check_speed_options(const CommandLine& line) {
  const auto at_least = [&](const std::string& option, std::int64_t least) {
    if (line.number(option) < least)
      reject("--{}: out of range; got {}; expected at least {}", option, line.number(option), least);
  };
  at_least("batch", 1);
  at_least("prompt-tokens", 1);
  at_least("new-tokens", 2);  // the first one belongs to the prompt
  at_least("repeats", 1);
}

nlohmann::json measure_speeds(const CommandLine& line, const std::vector<EvalModel>& models, const Compute& compute,
                              const LossRequest& request) {
  SpeedOptions options{.batch = line.number("batch"),
                       .prompt_tokens = line.number("prompt-tokens"),
                       .new_tokens = line.number("new-tokens"),
                       .repeats = line.number("repeats")};
  const std::vector<TokenSource> sources = eval_sources(line, request, models.front());
  if (!sources.empty()) {
    options.prompt = prompt_from(sources.front(), options.batch, options.prompt_tokens);
    options.prompt_name = sources.front().name;
  }
  std::vector<std::unique_ptr<WeightSource>> weights;  // all of them at a time: they are measured in turns
  std::vector<SpeedSubject> subjects;
  for (const EvalModel& model : models) {
    weights.push_back(open_weights(model.checkpoint, compute));
    subjects.push_back({model.name, model.checkpoint.digest(), weights.back().get()});
  }
  return measure_speed(subjects, options);
}

}  // namespace espalier
