// SPDX-License-Identifier: Apache-2.0
#include "core/cli/measured_models.hpp"

#include <algorithm>
#include <map>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/data/prepare.hpp"
#include "core/eval/evaluate.hpp"
#include "core/model/counts.hpp"
#include "core/run/device.hpp"
#include "core/run/run.hpp"
#include "core/run/scores.hpp"

namespace espalier {
namespace {

using nlohmann::json;

bool has_documents(const RunRef& run) {
  return fs::exists(run.folder / "documents" / "export.safetensors") && fs::exists(run.folder / "eval.json");
}

class Measurement {
 public:
  explicit Measurement(const CommandLine& line) : line_(line), compute_(open_device(line.device())) {
    options_.seq_length = line.number("seq-length");
    options_.windows = line.number("windows");
    if (options_.seq_length < 2) reject("--seq-length: too short; got {}; expected at least 2", options_.seq_length);
    if (options_.windows < 0) reject("--windows: out of range; got {}; expected 0 or more", options_.windows);
  }

  std::shared_ptr<const MeasuredModel> measure(const RunRef& run) {
    const fs::path folder = checkpoint_folder(run.folder);
    const Checkpoint checkpoint(folder);
    const std::string tokenizer = tokenizer_of(folder);
    const std::vector<TokenSource>& sources = sources_of(tokenizer);
    options_.tokenizer = tokenizer == "bytes" ? tokenizer : fs::path(tokenizer).filename().string();
    const std::unique_ptr<WeightSource> weights = open_weights(checkpoint, compute_);
    EvalResult result = evaluate(*weights, sources, options_);
    auto model = std::make_shared<MeasuredModel>();
    model->eval = eval_to_json(result, run.name, compute_, sources, options_);
    model->eval["model_counts"] = counts_of(checkpoint);
    model->documents = std::move(result.documents);
    return model;
  }

  // Were the losses of this run taken on these windows, in this way?
  bool is_of(const json& protocol, const fs::path& folder) {
    std::vector<std::string> ours, theirs;
    for (const TokenSource& source : sources_of(tokenizer_of(checkpoint_folder(folder))))
      ours.push_back(source.tokens.digest());
    for (const json& source : protocol.value("data", json::array())) theirs.push_back(source.value("digest", ""));
    const std::int64_t windows = protocol.value("windows", std::int64_t{0});
    const bool all = windows == protocol.value("windows_available", std::int64_t{-1});
    return ours == theirs && protocol.value("seq_length", std::int64_t{0}) == options_.seq_length &&
           (windows == options_.windows || (options_.windows == 0 && all)) &&
           protocol.value("device", "") == compute_.device.str();
  }

 private:
  std::string tokenizer_of(const fs::path& model) const {
    if (line_.has("tokenizer")) return line_.get("tokenizer");
    return fs::exists(model / "tokenizer.json") ? model.string() : "bytes";
  }

  const std::vector<TokenSource>& sources_of(const std::string& tokenizer) {
    const auto [place, fresh] = sources_.try_emplace(tokenizer);
    if (!fresh) return place->second;
    DataRequest request;
    for (const std::string& path : line_.all("data")) request.sources.push_back({path, std::nullopt, path});
    request.tokenizer = tokenizer;
    request.token_type = line_.get("token-type");
    request.cache = line_.get("cache");
    place->second = prepare(request, Split::all, 0.0);
    return place->second;
  }

  json counts_of(const Checkpoint& checkpoint) const {
    const auto element = static_cast<std::int64_t>(c10::elementSize(checkpoint.dtype()));
    const Counts counts = count(checkpoint.spec(), element, options_.seq_length);
    return {{"parameters", counts.parameters},
            {"non_embedding_parameters", counts.non_embedding_parameters},
            {"bytes", counts.bytes},
            {"flops_per_token", counts.flops_per_token},
            {"kv_bytes_per_token", counts.kv_bytes_per_token}};
  }

  const CommandLine& line_;
  Compute compute_;
  EvalOptions options_;
  std::map<std::string, std::vector<TokenSource>> sources_;
};

}  // namespace

void add_data_options(po::options_description& options) {
  // clang-format off
  options.add_options()
      ("data", po::value<std::vector<std::string>>()->composing(), "measure the models on this: packed tokens, a raw .bin, text, JSONL or a glob; may be repeated")
      ("token-type", po::value<std::string>()->default_value(""), "uint8, uint16 or int32, for a raw .bin")
      ("tokenizer", po::value<std::string>(), "bytes, a folder or a tokenizer.json; default: what each model brings")
      ("seq-length", po::value<std::int64_t>()->default_value(2048), "tokens of a window; each predicts all but its first")
      ("windows", po::value<std::int64_t>()->default_value(0), "at most this many windows, evenly spaced; 0: all")
      ("cache", po::value<std::string>()->default_value("runs/.cache/tokens"), "folder for packed text");
  // clang-format on
}

void measure_models(const CommandLine& line, std::vector<RunRef>& runs) {
  if (!line.has("data")) {
    for (const RunRef& run : runs) {
      if (run.state != "done" || is_run(run.folder)) continue;
      checkpoint_folder(run.folder);  // its own error when it is no model either
      reject("{}: a model that no run measured; expected --data, on which all models are measured",
             run.folder.string());
    }
    return;
  }
  watch_signals();
  Measurement measurement(line);
  for (RunRef& run : runs) {
    if (run.state != "done") continue;
    if (has_documents(run) &&
        measurement.is_of(read_json(run.folder / "eval.json").value("protocol", json::object()), run.folder))
      continue;
    run.measured = measurement.measure(run);
  }
}

}  // namespace espalier
