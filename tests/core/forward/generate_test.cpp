// SPDX-License-Identifier: Apache-2.0
// Generation with a cache against generation without one: every token from a whole forward pass over all before it.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include "core/forward/generate.hpp"
#include "specs.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

// Logits behind every token of a text, from one pass without a cache.
at::Tensor all_logits(Model& model, const at::Tensor& tokens) {
  const at::NoGradGuard no_grad;
  return logits(model.outer(), hidden_states(model, tokens));
}

std::vector<std::vector<std::int64_t>> without_cache(Model& model, at::Tensor tokens, std::int64_t new_tokens) {
  std::vector<std::vector<std::int64_t>> texts(static_cast<std::size_t>(tokens.size(0)));
  for (std::int64_t step = 0; step < new_tokens; ++step) {
    const at::Tensor next = all_logits(model, tokens).select(1, -1).argmax(1, true);
    for (std::size_t i = 0; i < texts.size(); ++i)
      texts[i].push_back(next[static_cast<std::int64_t>(i)].item<std::int64_t>());
    tokens = at::cat({tokens, next}, 1);
  }
  return texts;
}

at::Tensor some_tokens(std::int64_t batch, std::int64_t length) {
  at::manual_seed(4);
  return at::randint(0, 37, {batch, length}, at::kLong);
}

struct Named {
  std::string name;
  ModelSpec spec;
};

// Every family plain; windows shorter than the text, as long as it, of one; one group, as many groups as heads; layers
// that differ in heads, head_dim, window, and in what they have at all.
std::vector<Named> zoo() {
  std::vector<Named> specs;
  for (const std::string& family : families()) specs.push_back({family, tiny(family)});
  for (const std::int64_t window : {1, 3, 12}) {
    Named one = {"window " + std::to_string(window), tiny("mistral")};
    for (LayerSpec& layer : one.spec.layers) layer.sliding_window = window;
    specs.push_back(one);
  }
  for (const auto& [groups, each] : {std::pair{1, 4}, std::pair{4, 1}, std::pair{3, 2}}) {
    Named one = {std::to_string(groups) + " groups", tiny("qwen3")};
    for (LayerSpec& layer : one.spec.layers) layer.kv_groups = groups, layer.heads_per_group = each;
    specs.push_back(one);
  }
  Named unequal = {"unequal", tiny("llama", 5)};
  unequal.spec.layers[0].attention = false;
  unequal.spec.layers[1].kv_groups = 1;
  unequal.spec.layers[2].mlp = false, unequal.spec.layers[2].sliding_window = 4;
  unequal.spec.layers[3].attention = false, unequal.spec.layers[3].mlp = false;
  unequal.spec.layers[4].head_dim = 4, unequal.spec.layers[4].heads_per_group = 3;
  specs.push_back(unequal);
  Named blind = {"no attention", tiny("llama", 2)};
  for (LayerSpec& layer : blind.spec.layers) layer.attention = false;
  specs.push_back(blind);
  return specs;
}

}  // namespace

TEST_CASE("with a cache the same tokens are generated as without, whatever the chunks of the prompt") {
  for (const auto& [name, spec] : zoo()) {
    CAPTURE(name);
    Model model(spec, 21, kFloat64);
    const at::Tensor prompt = some_tokens(2, 9);
    const auto expected = without_cache(model, prompt, 12);
    for (const std::int64_t chunk : {0, 1, 4}) {
      CAPTURE(chunk);
      CHECK(generate(model, prompt, {.new_tokens = 12, .prefill_chunk = chunk}) == expected);
    }
  }
}

TEST_CASE("logits with a cache equal those of a whole pass, at every position and for uneven chunks") {
  for (const auto& [name, spec] : zoo()) {
    CAPTURE(name);
    for (const auto& [compute, tolerance] : {std::pair{kFloat64, 1e-12}, std::pair{kFloat32, 2e-5}}) {
      Model model(spec, 22, compute);
      const at::Tensor tokens = some_tokens(2, 24), expected = all_logits(model, tokens);
      Decoding decoding(model, 2, 24);
      std::int64_t seen = 0;
      for (const std::int64_t chunk : {5, 1, 4, 9, 1, 2, 1, 1}) {
        const at::Tensor got = decoding.feed(tokens.narrow(1, seen, chunk));
        seen += chunk;
        CHECK(decoding.cache().length() == seen);
        // The scale of the logits is about 1; sums run in another order, no more.
        CHECK(difference(got, expected.select(1, seen - 1)) < tolerance);
      }
      decoding.restart();
      CHECK(difference(decoding.feed(tokens.narrow(1, 0, 24)), expected.select(1, 23)) < tolerance);
    }
  }
}

TEST_CASE("a text ends with its first stop token, the others go on") {
  Model model(tiny("llama"), 21, kFloat64);
  const at::Tensor prompt = some_tokens(3, 5);
  const auto whole = generate(model, prompt, {.new_tokens = 10});
  const std::int64_t stop = whole[1][3];
  const auto stopped = generate(model, prompt, {.new_tokens = 10, .stop = {stop, 1000}});
  for (std::size_t i = 0; i < whole.size(); ++i) {
    auto end = std::find(whole[i].begin(), whole[i].end(), stop);
    if (end != whole[i].end()) ++end;
    CHECK(stopped[i] == std::vector<std::int64_t>(whole[i].begin(), end));
  }
  CHECK(stopped[1].size() <= 4);
  CHECK(generate(model, prompt.narrow(0, 1, 1), {.new_tokens = 10, .stop = {stop}})[0] == stopped[1]);
}

TEST_CASE("weights that are fetched layer by layer generate the same") {
  class Fetched final : public WeightSource {
   public:
    explicit Fetched(Model& model) : model_(model) {}
    const ModelSpec& spec() const override { return model_.spec(); }
    Compute compute() const override { return model_.compute(); }
    Weights outer() override { return model_.outer(); }
    Weights layer(std::int64_t layer) override { return model_.layer(layer); }

   private:
    Model& model_;
  };
  Model model(tiny("qwen2"), 21, kFloat32);
  Fetched fetched(model);
  CHECK(generate(fetched, some_tokens(2, 6), {.new_tokens = 8}) ==
        generate(model, some_tokens(2, 6), {.new_tokens = 8}));
}

TEST_CASE("a cache is as large as its layers need") {
  ModelSpec spec = tiny("mistral", 3);  // 2 groups of 8
  spec.layers[0].sliding_window = 5, spec.layers[1].attention = false, spec.layers[2].sliding_window = 100;
  CHECK(KvCache(spec, 3, 20, kFloat32).bytes() == 2 * 3 * 2 * 8 * (5 + 20) * 4);
  CHECK(KvCache(spec, 1, 4, {at::kBFloat16, at::kCPU}).bytes() == 2 * 2 * 8 * (4 + 4) * 2);
}

TEST_CASE("what cannot be generated is refused") {
  Model model(tiny("llama"), 21, kFloat32);
  const at::Tensor prompt = some_tokens(1, 4);
  CHECK_THROWS_WITH(generate(model, prompt, {.new_tokens = 0}), "new_tokens: out of range; got 0; expected at least 1");
  CHECK_THROWS_WITH(generate(model, prompt, {.new_tokens = 1, .prefill_chunk = -1}),
                    "prefill_chunk: out of range; got -1; expected 0 or more");
  CHECK_THROWS_WITH(generate(model, at::zeros({1, 0}, at::kLong), {.new_tokens = 1}),
                    "prompt: empty; got no tokens; expected at least one");
  CHECK_THROWS_WITH(generate(model, at::full({1, 2}, 37), {.new_tokens = 1}),
                    "tokens: token outside the vocabulary; got 37; expected 0 to 36");
}

TEST_CASE("a token outside the vocabulary is refused before the device sees it") {
  Model model(tiny("llama"), 21, {at::kFloat, at::kMeta});  // numbers there cannot be looked at
  CHECK_THROWS_WITH(generate(model, at::full({1, 2}, 37), {.new_tokens = 1}),
                    "tokens: token outside the vocabulary; got 37; expected 0 to 36");
}
