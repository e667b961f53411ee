// SPDX-License-Identifier: Apache-2.0
#include "core/model/parameter.hpp"

#include <doctest/doctest.h>

#include "configs.hpp"
#include "core/model/family.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

std::vector<std::string> names(const ModelSpec& spec) {
  std::vector<std::string> all;
  for (const Parameter& parameter : parameters(spec)) all.push_back(parameter.name);
  return all;
}

ModelSpec one_layer(const std::string& model_type) { return read_spec(small(model_type, 1), "config.json"); }

const std::string kLayer = "model.layers.0.";

}  // namespace

TEST_CASE("a llama has the tensors of a Hugging Face llama, in file order") {
  CHECK(names(one_layer("llama")) ==
        std::vector<std::string>{
            "model.embed_tokens.weight", kLayer + "input_layernorm.weight", kLayer + "self_attn.q_proj.weight",
            kLayer + "self_attn.k_proj.weight", kLayer + "self_attn.v_proj.weight", kLayer + "self_attn.o_proj.weight",
            kLayer + "post_attention_layernorm.weight", kLayer + "mlp.gate_proj.weight", kLayer + "mlp.up_proj.weight",
            kLayer + "mlp.down_proj.weight", "model.norm.weight", "lm_head.weight"});
}

TEST_CASE("families add their own tensors") {
  CHECK(parameters(one_layer("qwen2")).size() == 12 + 3);
  CHECK(parameters(one_layer("qwen3")).size() == 12 + 2);
  CHECK(parameters(one_layer("nemotron")).size() == 12 - 1 + 3);  // no gate, a bias for each norm
  ModelSpec tied = one_layer("llama");
  tied.tied = true;
  CHECK(parameters(tied).size() == 11);
  tied.qkv_bias = tied.o_bias = tied.mlp_bias = true;
  CHECK(parameters(tied).size() == 11 + 7);
}

TEST_CASE("every dimension of a tensor is a product of named dimensions") {
  for (const Parameter& parameter : parameters(one_layer("qwen2"))) {
    if (parameter.role == Role::q) {
      CHECK((parameter.dims ==
             std::vector<DimProduct>{{Dim::kv_groups, Dim::heads_per_group, Dim::head_dim}, {Dim::hidden}}));
      CHECK(parameter.shape == std::vector<std::int64_t>{24, 8});
      CHECK(parameter.layer == 0);
      CHECK(parameter.elements() == 192);
    }
    if (parameter.role == Role::k_bias) CHECK(parameter.shape == std::vector<std::int64_t>{12});
    if (parameter.role == Role::o) CHECK(parameter.shape == std::vector<std::int64_t>{8, 24});
    if (parameter.role == Role::down) CHECK(parameter.shape == std::vector<std::int64_t>{8, 10});
    if (parameter.role == Role::head) {
      CHECK(parameter.shape == std::vector<std::int64_t>{16, 8});
      CHECK(parameter.layer == -1);
    }
  }
}

TEST_CASE("a layer without attention or MLP has no tensors of it") {
  ModelSpec spec = one_layer("llama");
  spec.layers.push_back(spec.layers[0]);
  spec.layers[0].attention = false;
  spec.layers[1].mlp = false;
  CHECK(names(spec) ==
        std::vector<std::string>{"model.embed_tokens.weight", kLayer + "post_attention_layernorm.weight",
                                 kLayer + "mlp.gate_proj.weight", kLayer + "mlp.up_proj.weight",
                                 kLayer + "mlp.down_proj.weight", "model.layers.1.input_layernorm.weight",
                                 "model.layers.1.self_attn.q_proj.weight", "model.layers.1.self_attn.k_proj.weight",
                                 "model.layers.1.self_attn.v_proj.weight", "model.layers.1.self_attn.o_proj.weight",
                                 "model.norm.weight", "lm_head.weight"});
}

TEST_CASE("extents of dimensions and taps") {
  const ModelSpec spec = one_layer("llama");
  CHECK(extent_of(spec, -1, Dim::hidden) == 8);
  CHECK(extent_of(spec, -1, Dim::vocab) == 16);
  CHECK(extent_of(spec, -1, Dim::layers) == 1);
  CHECK(extent_of(spec, 0, Dim::heads_per_group) == 2);
  CHECK(extent_of(spec, 0, dims_of(Tap::o_proj_input)) == 24);
  CHECK(extent_of(spec, 0, dims_of(Tap::norm_output)) == 8);
  CHECK(extent_of(spec, 0, dims_of(Tap::fc2_input)) == 10);
  CHECK(dims_of(Tap::none).empty());
  CHECK(extent_of(spec, -1, Dim::ffn) == 10);  // what all layers share
  ModelSpec uneven = spec;
  uneven.layers.push_back(spec.layers[0]);
  uneven.layers[1].ffn = 8;
  CHECK_THROWS_WITH_AS(extent_of(uneven, -1, Dim::ffn),
                       "layers differ in ffn; got 10 and 8; expected one extent for what all layers share", Error);
  uneven.layers[1].mlp = false;
  CHECK(extent_of(uneven, -1, Dim::ffn) == 10);
  CHECK_THROWS_AS(extent_of(spec, 1, Dim::ffn), InternalError);
}

TEST_CASE("one tensor that is looked up is that of the whole table, and a missing one is none") {
  for (const char* family : {"llama", "qwen2", "qwen3", "nemotron"}) {
    CAPTURE(family);
    ModelSpec spec = one_layer(family);
    spec.layers.push_back(spec.layers.front());
    spec.layers.back().ffn = 5;
    for (const Parameter& expected : parameters(spec)) {
      CAPTURE(expected.name);
      const std::optional<Parameter> found = find_parameter(spec, expected.role, expected.layer);
      REQUIRE(found.has_value());
      CHECK(found->name == expected.name);
      CHECK(found->shape == expected.shape);
    }
  }
  CHECK(!find_parameter(one_layer("nemotron"), Role::gate, 0).has_value());
  CHECK(!find_parameter(one_layer("llama"), Role::final_norm, 0).has_value());
}
