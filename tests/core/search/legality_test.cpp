// SPDX-License-Identifier: Apache-2.0
#include "core/search/legality.hpp"

#include "tests/core/search/searched.hpp"

namespace {

using namespace espalier;
using espalier::test::nemotron_15b;

std::vector<std::string> who(const ModelSpec& spec) {
  std::vector<std::string> names;
  for (const BrokenRule& rule : legality_of(spec).broken) names.push_back(rule.who);
  return names;
}

ModelSpec shaped(std::int64_t hidden, std::int64_t ffn, std::int64_t heads_per_group) {
  ModelSpec spec = nemotron_15b();
  spec.hidden = hidden;
  for (LayerSpec& layer : spec.layers) {
    layer.ffn = ffn;
    layer.heads_per_group = heads_per_group;
  }
  return spec;
}

}  // namespace

TEST_CASE("the released Minitron 8B breaks no rule but that its head_dim must be read; the 4B needs nothing") {
  CHECK(who(shaped(4096, 16384, 6)) == std::vector<std::string>{"old engines"});  // 48 × 128 = 6144
  const Legality small = legality_of(shaped(3072, 9216, 3));                      // 24 × 128 = 3072
  CHECK(small.broken.empty());
  CHECK(small.multiple == 256);
  CHECK(small.parallel == std::vector<std::int64_t>{1, 2, 4, 8});
}

TEST_CASE("rows that are no multiple of a block are told by whom they do not suit") {
  CHECK(legality_of(shaped(6144, 9280, 6)).multiple == 64);  // 145 · 64
  CHECK(who(shaped(6144, 9280, 6)) == std::vector<std::string>{"llama.cpp k-quants"});
  CHECK(who(shaped(6144, 9248, 6)) == std::vector<std::string>{"tensor cores", "llama.cpp k-quants"});  // 289 · 32
  CHECK(who(shaped(6144, 9232, 6)) ==
        std::vector<std::string>{"llama.cpp quants", "tensor cores", "llama.cpp k-quants"});  // 577 · 16
  CHECK(who(shaped(6144, 9224, 6)) ==
        std::vector<std::string>{"FP8", "llama.cpp quants", "tensor cores", "llama.cpp k-quants"});
  CHECK(legality_of(shaped(6144, 9223, 6)).multiple == 1);
}

TEST_CASE("tensor-parallel sizes divide heads, KV groups and ffn") {
  ModelSpec spec = shaped(6144, 24576, 6);
  for (LayerSpec& layer : spec.layers) layer.kv_groups = 2;
  CHECK(legality_of(spec).parallel == std::vector<std::int64_t>{1, 2});
  CHECK(legality_of(shaped(6144, 24580, 6)).parallel == std::vector<std::int64_t>{1, 2, 4});
}

TEST_CASE("unlike layers load nowhere; unlike windows are not unlike layers") {
  ModelSpec spec = shaped(6144, 24576, 6);
  spec.layers[5].ffn = 12288;
  CHECK(who(spec) == std::vector<std::string>{"transformers, vLLM, llama.cpp"});
  spec = shaped(6144, 24576, 6);
  spec.layers[31].sliding_window = 512;
  CHECK(who(spec).empty());
}
