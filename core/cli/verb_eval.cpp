// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/strings.hpp"
#include "core/cli/command_line.hpp"
#include "core/data/prepare.hpp"
#include "core/eval/evaluate.hpp"
#include "core/run/device.hpp"
#include "core/run/run.hpp"
#include "core/run/scores.hpp"

namespace espalier {

namespace {

std::string tokenizer_of(const CommandLine& line, const fs::path& model) {
  if (line.has("tokenizer")) return line.get("tokenizer");
  return fs::exists(model / "tokenizer.json") ? model.string() : "bytes";
}

std::string text_of(const nlohmann::json& result) {
  const auto number = [](const nlohmann::json& value) {
    return value.is_number() ? fmt::format("{:.4f}", value.get<double>()) : std::string("unknown");
  };
  std::string text = fmt::format("nll {} nats per token, perplexity {}, bits per byte {}\n", number(result["nll"]),
                                 number(result["perplexity"]), number(result["bits_per_byte"]));
  const nlohmann::json& protocol = result["protocol"];
  text += fmt::format(
      "{} predicted tokens of {} documents in {} windows of {} tokens, not overlapping; computed in {}\n",
      with_commas(result["tokens"].get<std::int64_t>()), with_commas(result["documents"].get<std::int64_t>()),
      with_commas(protocol["windows"].get<std::int64_t>()), protocol["seq_length"].get<std::int64_t>(),
      protocol["dtype"].get<std::string>());
  return text;
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
      ("dump", po::value<std::string>(), "write every token's nll and every window's last logits to this safetensors file");
  // clang-format on
  CommandLine line("eval", own, {"MODEL"});
  if (!line.parse(arguments)) return 0;
  if (!line.has("data")) reject("espalier eval: --data is missing; expected a token file, text or a glob");
  EvalOptions options;
  options.seq_length = line.number("seq-length");
  options.windows = line.number("windows");
  if (options.seq_length < 2) reject("--seq-length: too short; got {}; expected at least 2", options.seq_length);
  if (options.windows < 0) reject("--windows: out of range; got {}; expected 0 or more", options.windows);
  const fs::path folder = checkpoint_folder(line.all("MODEL").front());
  const Compute compute = open_device(line.device());
  const Checkpoint checkpoint(folder);
  DataRequest request;
  for (const std::string& path : line.all("data")) request.sources.push_back({path, std::nullopt, path});
  request.tokenizer = tokenizer_of(line, folder);
  request.token_type = line.get("token-type");
  request.cache = line.get("cache");
  watch_signals();
  const std::vector<TokenSource> sources = prepare(request, Split::all, 0.0);
  options.tokenizer = request.tokenizer == "bytes" ? "bytes" : fs::path(request.tokenizer).filename().string();
  options.dump = line.get("dump");
  const std::unique_ptr<WeightSource> weights = open_weights(checkpoint, compute);
  const EvalResult result = evaluate(*weights, sources, options);
  nlohmann::json json = eval_to_json(result, line.all("MODEL").front(), compute, sources, options);
  json["tokens_per_s"] = static_cast<double>(result.all.tokens) / std::max(result.seconds, 1e-9);
  if (line.json()) {
    print_json(json);
  } else {
    std::cout << text_of(json);
  }
  return 0;
}

}  // namespace espalier
