// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>

#include "core/base/random.hpp"
#include "core/base/temporary_folder.hpp"
#include "core/check/kit.hpp"
#include "core/check/tiny_model.hpp"
#include "core/importance/score.hpp"
#include "espalier/testkit/specs.hpp"

namespace espalier {
namespace {

constexpr std::int64_t kSamples = 6, kTokens = 8;
constexpr std::uint64_t kSeed = 5;

TokenSource random_tokens(const fs::path& folder, std::int64_t vocab) {
  std::string bytes;
  for (std::uint64_t i = 0; i < 100; ++i) {
    const auto token = static_cast<std::uint16_t>(mix(kSeed, i) % static_cast<std::uint64_t>(vocab));
    bytes += static_cast<char>(token & 0xFF);
    bytes += static_cast<char>(token >> 8);
  }
  write_text(folder / "tokens.bin", bytes);
  return {"tokens", std::nullopt, TokenFile(folder / "tokens.bin", "uint16")};
}

Scores scored(Model& model, const ScoreJob& job, const TokenSource& tokens, std::int64_t micro_batch) {
  ScoreOptions options;
  options.samples = kSamples;
  options.seq_length = kTokens;
  options.micro_batch = micro_batch;
  options.seed = kSeed;
  return score(model, {job}, {tokens}, options).front();
}

// A choice task is a file of the user's, and there is none here.
bool accepts(const ScoreJob& job) {
  try {
    return needs_of(job).evidence != Evidence::task;
  } catch (const Error&) {
    return false;  // whether it may refuse is judged by metric/axes
  }
}

}  // namespace

testkit::Report check_metric_in_host(const std::string& name, const testkit::Make<ImportanceMetric>& make,
                                     const std::string& options) {
  testkit::Checklist checks(name, options);
  checks.run("metric/in-host", [&](testkit::Trial& trial) {
    const TemporaryFolder folder;
    const ModelSpec spec = tiny_spec("llama");
    const TokenSource tokens = random_tokens(folder.path(), spec.vocab);
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      Model model(spec, kSeed, {dtype, at::kCPU});
      for (const AxisInfo& axis : testkit::standard_axes()) {
        const ScoreJob job{axis, make, name, "under check", "{}", axis.one_run ? 2 : 1};
        trial.about(fmt::format("axis '{}'", axis.name));
        if (!accepts(job)) continue;
        trial.at(fmt::format("a tiny llama in {}, axis '{}', {} samples of {} tokens, micro-batches of 1 and 4",
                             c10::toString(dtype), axis.name, kSamples, kTokens));
        const Scores one = scored(model, job, tokens, 1), four = scored(model, job, tokens, 4);
        // Products of other sizes may be summed in another order: in bfloat16 the last of its 8 bits.
        const double tolerance = dtype == at::kFloat ? 1e-4 : 3e-2;
        for (std::size_t i = 0; i < one.per_layer.size(); ++i) {
          trial.same(four.per_layer[i], one.per_layer[i], tolerance,
                     fmt::format("scores of list {} depend on the micro-batch", i));
        }
      }
    }
    trial.skip("accepts no axis, or asks for a task");
  });
  return checks.finish();
}

}  // namespace espalier
