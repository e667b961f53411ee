// SPDX-License-Identifier: Apache-2.0
#include "core/eval/speed.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "core/eval/peak_memory.hpp"
#include "core/forward/kv_cache.hpp"
#include "tests/core/eval/tiny.hpp"

using espalier::measure_speed;
using espalier::Model;
using espalier::PeakMemory;
using espalier::SpeedOptions;
using espalier::SpeedSubject;
using espalier::testing::Streamed;
using espalier::testing::tiny_model;

TEST_CASE("the memory of tensors is counted to the byte, and older ones are left out") {
  at::Tensor older = at::zeros({1000});
  const PeakMemory memory(at::kCPU);
  CHECK(memory.peak_bytes() == 0);
  {
    const at::Tensor a = at::empty({100}), b = at::empty({50}, at::kDouble);
    CHECK(memory.live_bytes() == 800);
  }
  older.reset();
  const at::Tensor c = at::empty({3}, at::kByte);
  CHECK(memory.live_bytes() == 3);
  CHECK(memory.peak_bytes() == 800);
}

TEST_CASE("the peak of a model is its weights, its cache and no more than the activations of a layer") {
  Model model = tiny_model();  // 3 layers: hidden 12, 2 groups of 3 heads of 4, ffn 10, vocab 257
  const SpeedOptions options{.batch = 3, .prompt_tokens = 20, .new_tokens = 6, .repeats = 1};
  const nlohmann::json of = measure_speed({{"tiny", "digest", &model}}, options)["models"][0];
  std::int64_t parameters = 0;
  for (const at::Tensor& tensor : model.tensors()) parameters += tensor.numel();
  const std::int64_t weights = of["weights_bytes"], cache = of["cache_bytes"], peak = of["peak_bytes"];
  CHECK(weights == parameters * 4);
  CHECK(cache == 3 * 2 * (3 * 2 * 25 * 4) * 4);  // layers, k and v, (B, G, positions, D) of float32
  // Tables of 25 positions; the widest a layer gets: the stream before and after, its norm, q, k and v before and
  // behind the rotation, scores of 20 × 20, or the stream and three times ffn; then logits.
  const std::int64_t tables = 2 * 25 * 4, tokens = 3 * 20;
  const std::int64_t layer = tokens * (3 * 12 + 2 * (24 + 8 + 8) + 24 + 6 * 2 * 20 + 3 * 10), logits = 2 * 3 * 257;
  CHECK(peak >= weights + cache);
  CHECK(peak <= weights + cache + 4 * (tables + layer + logits) + 4096);
  CHECK(of["activation_bytes"] == peak - weights - cache);
}

TEST_CASE("weights that are fetched count while they are there") {
  Model model = tiny_model();
  Streamed streamed(model);
  const SpeedOptions options{.batch = 1, .prompt_tokens = 4, .new_tokens = 2, .repeats = 1};
  const nlohmann::json of = measure_speed({{"tiny", "", &streamed}}, options)["models"][0];
  CHECK(of["weights"] == "fetched layer by layer");
  CHECK(of["weights_bytes"] == 0);
}

TEST_CASE("models are measured in rounds, each number between its least and its largest") {
  Model one = tiny_model(), other = tiny_model(300);
  const SpeedOptions options{.batch = 2, .prompt_tokens = 300, .new_tokens = 4, .repeats = 4};
  const nlohmann::json json = measure_speed({{"one", "a", &one}, {"other", "b", &other}}, options);
  CHECK(json["schema"] == 1);
  CHECK(json["protocol"]["batch"] == 2);
  CHECK(json["protocol"]["prompt_tokens"] == 300);
  CHECK(json["protocol"]["repeats"] == 4);
  CHECK(json["protocol"]["prompt"] == "counted");
  REQUIRE(json["models"].size() == 2);
  CHECK(json["models"][1]["name"] == "other");
  CHECK(json["models"][1]["digest"] == "b");
  for (const nlohmann::json& model : json["models"]) {
    REQUIRE(model["spread"].size() == 4);
    for (const auto& [name, spread] : model["spread"].items()) {
      CHECK(model[name].get<double>() > 0);
      CHECK(spread["min"].get<double>() <= model[name].get<double>());
      CHECK(model[name].get<double>() <= spread["max"].get<double>());
    }
    const double total = model["decode_tokens_per_s"], each = model["decode_tokens_per_s_per_sequence"];
    CHECK(total == doctest::Approx(2 * each));
  }
}

TEST_CASE("a speed that cannot be measured is refused") {
  Model model = tiny_model();
  const auto measure = [&](SpeedOptions options) { return measure_speed({{"tiny", "", &model}}, options); };
  CHECK_THROWS_WITH(measure({.batch = 0}), "batch: out of range; got 0; expected at least 1");
  CHECK_THROWS_WITH(measure({.prompt_tokens = 0}), "prompt_tokens: out of range; got 0; expected at least 1");
  CHECK_THROWS_WITH(measure({.new_tokens = 1}), "new_tokens: out of range; got 1; expected at least 2");
  CHECK_THROWS_WITH(measure({.repeats = 0}), "repeats: out of range; got 0; expected at least 1");
  CHECK_THROWS_WITH(measure({.prompt_tokens = 2, .prompt = at::full({1, 2}, 257), .prompt_name = "a.bin"}),
                    "a.bin: token beyond a model's vocabulary; got 257; expected less than 257");
}
