// SPDX-License-Identifier: Apache-2.0
#include "support.hpp"

using espalier::ModelSpec;
using espalier_test::parse;
using espalier_test::problems;

namespace {

std::string spec_of(const std::string& family, const std::string& more = "") {
  return "[teacher]\nspec = { family = \"" + family +
         "\", layers = 3, hidden = 48, heads = 6, kv_groups = 2, head_dim = 12, ffn = 100, vocab = 257" + more + " }\n";
}

ModelSpec read(const std::string& family, const std::string& more = "") {
  return parse(spec_of(family, more)).teacher.spec.value();
}

}  // namespace

TEST_CASE("a spec fills every layer") {
  const ModelSpec spec = read("llama", ", tied = true, rope_theta = 500000.0, norm_eps = 1e-6, max_positions = 512");
  CHECK(spec.family == "llama");
  CHECK(spec.layers.size() == 3);
  CHECK(spec.uniform());
  CHECK(spec.layers[0].kv_groups == 2);
  CHECK(spec.layers[0].heads_per_group == 3);
  CHECK(spec.layers[0].head_dim == 12);
  CHECK(spec.layers[0].ffn == 100);
  CHECK(spec.layers[0].sliding_window == 0);
  CHECK(spec.hidden == 48);
  CHECK(spec.vocab == 257);
  CHECK(spec.tied);
  CHECK(spec.rope.theta == 500000.0);
  CHECK(spec.norm_eps == 1e-6);
  CHECK(spec.max_positions == 512);
}

TEST_CASE("what the numbers do not say comes from the family") {
  CHECK((read("llama").gated && read("llama").norm == espalier::Norm::rms));
  CHECK((!read("llama").qkv_bias && !read("llama").qk_norm && !read("llama").tied));
  CHECK((read("mistral").gated && !read("mistral").qkv_bias));
  CHECK((read("qwen2").qkv_bias && !read("qwen2").o_bias));
  CHECK((read("qwen3").qk_norm && !read("qwen3").qkv_bias));
  const ModelSpec nemotron = read("nemotron");
  CHECK(nemotron.norm == espalier::Norm::layernorm_1p);
  CHECK(nemotron.activation == espalier::Activation::relu2);
  CHECK(!nemotron.gated);
  CHECK(nemotron.rope.partial == 0.5);
}

TEST_CASE("a spec with mistakes is told all of them") {
  CHECK(
      problems("[teacher]\nspec = { family = \"lama\", hidden_size = 48, layers = 0, heads = 4, head_dim = 8, ffn = 9, "
               "vocab = 7 }\n") ==
      "r.toml:2:8: error: [teacher] spec.hidden is missing; expected an integer from 1 to 1048576\n"
      "r.toml:2:19: error: [teacher] spec.family is not a known choice; got \"lama\"; expected \"llama\", "
      "\"mistral\", \"qwen2\", \"qwen3\" or \"nemotron\"\n"
      "r.toml:2:27: error: [teacher] another program's name for a key of spec; got 'hidden_size'; expected hidden\n"
      "r.toml:2:54: error: [teacher] spec.layers is out of range; got 0; expected an integer from 1 to 10000\n"
      "4 errors");
}

TEST_CASE("a spec that no model can have is refused") {
  std::string text = spec_of("llama");
  text.replace(text.find("kv_groups = 2"), 13, "kv_groups = 4");
  CHECK(problems(text) ==
        "r.toml:2:76: error: [teacher] spec.kv_groups does not divide the heads; got 4; expected a divisor of 6\n1 "
        "error");
  text = spec_of("llama");
  text.replace(text.find("head_dim = 12"), 13, "head_dim = 11");
  CHECK(problems(text) ==
        "r.toml:2:90: error: [teacher] spec.head_dim cannot be rotated in pairs; got 11; expected an even number\n1 "
        "error");
  text = spec_of("nemotron");
  text.replace(text.find("head_dim = 12"), 13, "head_dim = 10");
  CHECK(
      problems(text) ==
      "r.toml:2:93: error: [teacher] spec.head_dim cannot be rotated in pairs; got 10; expected a multiple of 4, half "
      "of which is rotated\n1 error");
}
