// SPDX-License-Identifier: Apache-2.0
#include "core/eval/evaluate.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

#include <ATen/core/grad_mode.h>
#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/progress.hpp"
#include "core/eval/dump.hpp"
#include "core/eval/tally.hpp"
#include "core/forward/walk.hpp"

namespace espalier {
namespace {

std::int64_t batch_size(const EvalOptions& options) {
  if (options.micro_batch > 0) return options.micro_batch;
  return std::clamp<std::int64_t>(4096 / options.seq_length, 1, 256);
}

// Batches of a walk. Resident weights cost nothing to fetch again, so one batch is enough; streamed ones are worth
// many.
std::int64_t batches_per_walk(const WeightSource& weights, const EvalOptions& options) {
  if (dynamic_cast<const Model*>(&weights) != nullptr) return 1;
  const auto element = static_cast<std::int64_t>(c10::elementSize(weights.compute().dtype));
  const std::int64_t bytes = batch_size(options) * options.seq_length * weights.spec().hidden * element;
  return std::max<std::int64_t>(options.tile_bytes / std::max<std::int64_t>(bytes, 1), 1);
}

void check_vocabulary(const WindowList::Batch& batch, const std::vector<TokenSource>& sources, std::int64_t vocab) {
  const std::int64_t largest = batch.tokens.max().item<std::int64_t>();
  if (largest < vocab) return;
  const auto row = static_cast<std::size_t>(batch.tokens.argmax().item<std::int64_t>() / batch.tokens.size(1));
  fail("{}: token beyond the model's vocabulary; got {}; expected less than {}", sources[batch.source[row]].name,
       largest, vocab);
}

const char* dtype_text(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "float32";
    case at::kBFloat16:
      return "bfloat16";
    case at::kHalf:
      return "float16";
    default:
      return c10::toString(dtype);
  }
}

nlohmann::json to_json(const Measure& measure) {
  return {{"nll", measure.nll},
          {"perplexity", measure.perplexity()},
          {"bits_per_byte", measure.bits_per_byte ? nlohmann::json(*measure.bits_per_byte) : nlohmann::json(nullptr)},
          {"tokens", measure.tokens},
          {"documents", measure.documents}};
}

}  // namespace

EvalResult evaluate(WeightSource& weights, const std::vector<TokenSource>& sources, const EvalOptions& options) {
  const at::NoGradGuard no_grad;
  const auto start = std::chrono::steady_clock::now();
  const ModelSpec& spec = weights.spec();
  const WindowList list(sources, options.seq_length, options.windows);
  Tally tally(sources, options.tokenizer);
  std::optional<EvalDump> dump;
  if (!options.dump.empty()) dump.emplace(options.dump, list.size(), options.seq_length - 1, spec.vocab);

  const std::int64_t rows = batch_size(options), tile = rows * batches_per_walk(weights, options);
  ProgressBar progress("eval", list.size());
  for (std::int64_t first = 0; first < list.size(); first += tile) {
    const std::int64_t end = std::min(first + tile, list.size());
    std::vector<WindowList::Batch> batches;
    std::vector<at::Tensor> tokens;
    for (std::int64_t at = first; at < end; at += rows) {
      batches.push_back(list.batch(at, std::min(rows, end - at)));
      check_vocabulary(batches.back(), sources, spec.vocab);
      tokens.push_back(batches.back().tokens.to(weights.compute().device));
    }
    std::vector<at::Tensor> states = walk(weights, tokens, nullptr, [](std::int64_t) { throw_if_interrupted(); });
    const Weights outer = weights.outer();
    for (std::size_t b = 0; b < batches.size(); ++b) {
      const at::Tensor hidden = final_norm(spec, outer, states[b], nullptr);
      states[b].reset();
      at::Tensor last_logits;
      const at::Tensor nll = next_token_nll(outer, hidden, tokens[b], dump ? &last_logits : nullptr);
      tally.add(batches[b], nll);
      if (dump) dump->add(nll, last_logits);
    }
    progress.update(end);
  }
  if (dump) dump->commit();
  EvalResult result;
  result.windows = list.size();
  result.available = list.available();
  tally.finish(result);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

nlohmann::json model_to_json(const std::string& model, const Compute& compute, const std::string& tokenizer) {
  return {
      {"model", model},
      {"tasks", nlohmann::json::object()},
      {"protocol", {{"dtype", dtype_text(compute.dtype)}, {"device", compute.device.str()}, {"tokenizer", tokenizer}}}};
}

nlohmann::json eval_to_json(const EvalResult& result, const std::string& model, const Compute& compute,
                            const std::vector<TokenSource>& sources, const EvalOptions& options) {
  constexpr const char* kBytes[] = {"exact", "in proportion to tokens", "unknown"};
  nlohmann::json json = model_to_json(model, compute, options.tokenizer);
  json.update(to_json(result.all));
  for (const auto& [name, measure] : result.sources) {
    json["sources"].push_back(to_json(measure));
    json["sources"].back()["name"] = name;
  }
  json["protocol"].update({{"windows", result.windows},
                           {"windows_available", result.available},
                           {"windows_chosen", result.windows == result.available ? "all" : "evenly spaced"},
                           {"seq_length", options.seq_length},
                           {"stride", options.seq_length},
                           {"predicted_per_window", options.seq_length - 1},
                           {"average", "over predicted tokens"},
                           {"bytes", kBytes[static_cast<int>(result.bytes)]}});
  for (const TokenSource& source : sources)
    json["protocol"]["data"].push_back({{"name", source.name}, {"digest", source.tokens.digest()}});
  return json;
}

}  // namespace espalier
