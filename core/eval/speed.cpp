// SPDX-License-Identifier: Apache-2.0
#include "core/eval/speed.hpp"

#include <algorithm>
#include <chrono>
#include <memory>

#include <ATen/ops/arange.h>
#include <ATen/ops/argmax.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <c10/core/InferenceMode.h>
#include <spdlog/spdlog.h>
#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/progress.hpp"
#include "core/eval/evaluate.hpp"
#include "core/eval/peak_memory.hpp"
#include "core/forward/generate.hpp"

namespace espalier {
namespace {

struct Seconds {
  double first_token = 0, decode = 0;
};

// One model with what it has measured so far.
struct Measured {
  const SpeedSubject* subject = nullptr;
  std::unique_ptr<Decoding> decoding;
  std::int64_t weights_bytes = 0, cache_bytes = 0, peak_bytes = 0;
  bool resident = false;
  std::vector<Seconds> rounds = {};
};

void at_least(const char* option, std::int64_t value, std::int64_t least) {
  if (value < least) reject("{}: out of range; got {}; expected at least {}", option, value, least);
}

void check(const std::vector<SpeedSubject>& subjects, const SpeedOptions& options) {
  at_least("batch", options.batch, 1);
  at_least("prompt_tokens", options.prompt_tokens, 1);
  at_least("new_tokens", options.new_tokens, 2);  // the first one is the prompt's
  at_least("repeats", options.repeats, 1);
  for (const SpeedSubject& subject : subjects) {
    const std::int64_t positions = subject.weights->spec().max_positions;
    if (options.prompt_tokens + options.new_tokens <= positions) continue;
    spdlog::warn(
        "{}: the text grows longer than the model's positions; got {} and {} new tokens; expected at most {} "
        "together",
        subject.name, options.prompt_tokens, options.new_tokens, positions);
  }
}

at::Tensor prompt_of(const std::vector<SpeedSubject>& subjects, const SpeedOptions& options) {
  std::int64_t vocab = subjects.front().weights->spec().vocab;
  for (const SpeedSubject& subject : subjects) vocab = std::min(vocab, subject.weights->spec().vocab);
  const at::Tensor counted = at::arange(options.batch * options.prompt_tokens, at::kLong).remainder(vocab);
  const at::Tensor prompt =
      options.prompt.defined() ? options.prompt : counted.view({options.batch, options.prompt_tokens});
  ESPALIER_CHECK(prompt.sizes() == at::IntArrayRef({options.batch, options.prompt_tokens}), prompt.sizes());
  if (const std::int64_t largest = prompt.max().item<std::int64_t>(); largest >= vocab) {
    fail("{}: token beyond a model's vocabulary; got {}; expected less than {}", options.prompt_name, largest, vocab);
  }
  return prompt.to(subjects.front().weights->compute().device);
}

double since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Ends when the tokens are on the host, and so has everything before.
at::Tensor choose(const at::Tensor& logits) {
  const at::Tensor chosen = at::argmax(logits, 1, true);
  chosen.cpu();
  return chosen;
}

Seconds generate_once(Decoding& decoding, const at::Tensor& prompt, std::int64_t new_tokens) {
  const c10::InferenceMode no_grad;
  throw_if_interrupted();
  decoding.restart();
  Seconds seconds;
  auto start = std::chrono::steady_clock::now();
  at::Tensor next = choose(decoding.feed(prompt));
  seconds.first_token = since(start);
  start = std::chrono::steady_clock::now();
  for (std::int64_t step = 1; step < new_tokens; ++step) {
    next = choose(decoding.feed(next));
    throw_if_interrupted();
  }
  seconds.decode = since(start);
  return seconds;
}

Measured warmed_up(const SpeedSubject& subject, const at::Tensor& prompt, const SpeedOptions& options) {
  Measured measured{.subject = &subject, .decoding = nullptr};
  if (auto* model = dynamic_cast<Model*>(subject.weights); model != nullptr) {
    measured.resident = true;
    for (const at::Tensor& tensor : model->tensors()) {
      measured.weights_bytes += static_cast<std::int64_t>(tensor.nbytes());
    }
  }
  const PeakMemory memory(subject.weights->compute().device);
  measured.decoding =
      std::make_unique<Decoding>(*subject.weights, options.batch, options.prompt_tokens + options.new_tokens - 1);
  generate_once(*measured.decoding, prompt, options.new_tokens);
  measured.cache_bytes = measured.decoding->cache().bytes();
  measured.peak_bytes = measured.weights_bytes + memory.peak_bytes();
  return measured;
}

// Adds the median under `name`, and what it lay between.
void put(nlohmann::json& numbers, const char* name, std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  numbers[name] = values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  numbers["spread"][name] = {{"min", values.front()}, {"max", values.back()}};
}

nlohmann::json to_json(const Measured& measured, const SpeedOptions& options) {
  const auto batch = static_cast<double>(options.batch), prompt = static_cast<double>(options.prompt_tokens);
  const auto steps = static_cast<double>(options.new_tokens - 1);
  std::vector<double> first, prefill, decode, each;
  for (const Seconds& seconds : measured.rounds) {
    first.push_back(seconds.first_token * 1e3);
    prefill.push_back(batch * prompt / seconds.first_token);
    decode.push_back(batch * steps / seconds.decode);
    each.push_back(steps / seconds.decode);
  }
  nlohmann::json numbers = {{"name", measured.subject->name},
                            {"digest", measured.subject->digest},
                            {"weights", measured.resident ? "resident" : "fetched layer by layer"},
                            {"weights_bytes", measured.weights_bytes},
                            {"cache_bytes", measured.cache_bytes},
                            {"activation_bytes", measured.peak_bytes - measured.weights_bytes - measured.cache_bytes},
                            {"peak_bytes", measured.peak_bytes}};
  put(numbers, "time_to_first_token_ms", first);
  put(numbers, "prefill_tokens_per_s", prefill);
  put(numbers, "decode_tokens_per_s", decode);
  put(numbers, "decode_tokens_per_s_per_sequence", each);
  return numbers;
}

nlohmann::json protocol_of(const Compute& compute, const SpeedOptions& options) {
  nlohmann::json protocol = model_to_json("", compute, "")["protocol"];
  protocol.erase("tokenizer");
  protocol.update({{"threads", at::get_num_threads()},
                   {"batch", options.batch},
                   {"prompt_tokens", options.prompt_tokens},
                   {"new_tokens", options.new_tokens},
                   {"repeats", options.repeats},
                   {"prompt", options.prompt.defined() ? options.prompt_name : "counted"},
                   {"decoding", "greedy, key and value cache, no stop token"},
                   {"warm_up", "one generation of each model"},
                   {"order", "interleaved: rounds over all models, each beginning with the next one"},
                   {"statistic", "median of the repeats; spread: least and largest"},
                   {"decode", "steady state: without the prompt and the first new token"},
                   {"memory",
                    "weights, and the peak of what LibTorch's allocator gives the measuring thread for tensors "
                    "while one text is generated, cache included; model by model, in the warm-up"}});
  return protocol;
}

}  // namespace

nlohmann::json measure_speed(const std::vector<SpeedSubject>& subjects, const SpeedOptions& options) {
  ESPALIER_CHECK(!subjects.empty());
  check(subjects, options);
  const at::Tensor prompt = prompt_of(subjects, options);
  std::vector<Measured> models;
  for (const SpeedSubject& subject : subjects) models.push_back(warmed_up(subject, prompt, options));
  ProgressBar progress("speed", options.repeats);
  for (std::int64_t round = 0; round < options.repeats; ++round) {
    for (std::size_t i = 0; i < models.size(); ++i) {
      Measured& model = models[(static_cast<std::size_t>(round) + i) % models.size()];
      model.rounds.push_back(generate_once(*model.decoding, prompt, options.new_tokens));
    }
    progress.update(round + 1);
  }
  nlohmann::json json = {{"schema", 1},
                         {"protocol", protocol_of(subjects.front().weights->compute(), options)},
                         {"models", nlohmann::json::array()}};
  for (const Measured& model : models) json["models"].push_back(to_json(model, options));
  return json;
}

}  // namespace espalier
