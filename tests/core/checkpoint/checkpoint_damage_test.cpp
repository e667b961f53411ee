// SPDX-License-Identifier: Apache-2.0
// What config.json and the tensors can disagree about.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/checkpoint/checkpoint.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/checkpoint/raw_file.hpp"
#include "tests/core/checkpoint/tiny_checkpoint.hpp"

namespace espalier {
namespace {

// What opening a tiny checkpoint says after `change` of its tensors; the folder's path is cut from its start.
std::string after_edit(const std::function<void(NamedTensors&)>& change, bool tied = false) {
  const Scratch scratch;
  write_tiny(scratch / "m", tiny_spec(tied));
  edit_tensors(scratch / "m" / "model.safetensors", change);
  const std::string message = message_of([&] { const Checkpoint checkpoint(scratch / "m"); });
  const std::string folder = (scratch / "m").string();
  REQUIRE(message.starts_with(folder));
  return message.substr(folder.size());
}

std::string after_config(const std::string& key, const nlohmann::json& value) {
  const Scratch scratch;
  write_tiny(scratch / "m");
  edit_json(scratch / "m" / "config.json", [&](nlohmann::json& config) { config[key] = value; });
  const std::string message = message_of([&] { const Checkpoint checkpoint(scratch / "m"); });
  const std::string folder = (scratch / "m").string();
  REQUIRE(message.starts_with(folder));
  return message.substr(folder.size());
}

void drop(NamedTensors& tensors, const std::string& name) {
  std::erase_if(tensors, [&](const auto& entry) { return entry.first == name; });
}

}  // namespace

TEST_CASE("a folder that is no checkpoint is refused") {
  const Scratch scratch;
  const std::string folder = (scratch / "m").string();
  const auto open = [&] { const Checkpoint checkpoint(scratch / "m"); };
  CHECK(message_of(open) == folder + ": no such folder; expected a Hugging Face checkpoint");
  write_raw(scratch / "m", "x");
  CHECK(message_of(open) == folder + ": not a checkpoint; got a file; expected a folder with config.json");
  fs::remove(scratch / "m");
  fs::create_directory(scratch / "m");
  CHECK(message_of(open) ==
        folder + ": not a checkpoint; got a folder without config.json; expected a Hugging Face checkpoint");
  CHECK(message_of([&] { read_folder_spec(scratch / "m"); }) ==
        folder + ": not a checkpoint; got a folder without config.json; expected a Hugging Face checkpoint");
}

TEST_CASE("a config that is nested without end is refused instead of overflowing the stack") {
  const Scratch scratch;
  write_tiny(scratch / "m");
  const std::string opening(300'000, '['), closing(300'000, ']');
  write_raw(scratch / "m" / "config.json", "{\"a\": " + opening + closing + "}");
  CHECK(message_of([&] { read_folder_spec(scratch / "m"); }) ==
        (scratch / "m" / "config.json").string() + ": values are nested too deeply; expected at most 100 levels");
}

TEST_CASE("a dimension that disagrees is named in our words and in those of config.json") {
  CHECK(
      after_config("intermediate_size", 10) ==
      "/model.safetensors: tensor 'model.layers.0.mlp.gate_proj.weight': dimension 0 disagrees with config.json about "
      "ffn (intermediate_size); got 12; expected 10");
  CHECK(after_config("hidden_size", 10) ==
        "/model.safetensors: tensor 'model.embed_tokens.weight': dimension 1 disagrees with config.json about "
        "hidden (hidden_size); got 8; expected 10");
  CHECK(after_config("vocab_size", 17) ==
        "/model.safetensors: tensor 'model.embed_tokens.weight': dimension 0 disagrees with config.json about "
        "vocab (vocab_size); got 16; expected 17");
  CHECK(after_config("num_attention_heads", 4) ==
        "/model.safetensors: tensor 'model.layers.0.self_attn.q_proj.weight': dimension 0 disagrees with config.json "
        "about kv_groups × heads_per_group × head_dim (num_attention_heads × head_dim); got 8; expected 16");
  CHECK(after_config("num_key_value_heads", 2) ==
        "/model.safetensors: tensor 'model.layers.0.self_attn.k_proj.weight': dimension 0 disagrees with config.json "
        "about kv_groups × head_dim (num_key_value_heads × head_dim); got 4; expected 8");
  CHECK(after_edit([](NamedTensors& tensors) {
          named(tensors, "model.norm.weight") = at::ones({8, 1});
        }) ==
        "/model.safetensors: tensor 'model.norm.weight': wrong number of dimensions; got shape [8, 1]; expected [8]");
}

TEST_CASE("a missing tensor is named and the others are counted") {
  CHECK(after_edit([](NamedTensors& tensors) { drop(tensors, "model.layers.1.mlp.up_proj.weight"); }) ==
        ": tensors are missing; got none for 'model.layers.1.mlp.up_proj.weight'; "
        "expected all 21 that config.json describes");
  CHECK(after_config("num_hidden_layers", 3) ==
        ": tensors are missing; got none for 'model.layers.2.input_layernorm.weight' and 8 more; "
        "expected all 30 that config.json describes");
  CHECK(after_edit([](NamedTensors& tensors) { drop(tensors, "lm_head.weight"); }) ==
        ": tensors are missing; got none for 'lm_head.weight'; expected all 21 that config.json describes "
        "(or \"tie_word_embeddings\": true)");
}

TEST_CASE("a tensor that does not belong to the model is refused") {
  CHECK(after_config("num_hidden_layers", 1) ==
        "/model.safetensors: tensor 'model.layers.1.input_layernorm.weight': does not belong to the model; "
        "expected only the tensors that config.json describes");
  CHECK(after_edit([](NamedTensors& tensors) {
          tensors.emplace_back("score.weight", at::ones({2, 8}));
        }) ==
        "/model.safetensors: tensor 'score.weight': does not belong to the model; "
        "expected only the tensors that config.json describes");
}

TEST_CASE("a head that differs from the embedding it is tied to is refused") {
  const std::string expected =
      "/model.safetensors: tensor 'lm_head.weight': differs from the embedding though config.json ties them; got its "
      "own data; expected that of 'model.embed_tokens.weight' (or \"tie_word_embeddings\": false)";
  const auto with_head = [](const std::function<at::Tensor(const at::Tensor&)>& head) {
    return after_edit(
        [&](NamedTensors& tensors) {
          tensors.emplace_back("lm_head.weight", head(named(tensors, "model.embed_tokens.weight")));
        },
        true);
  };
  CHECK(with_head([](const at::Tensor& embedding) {
          at::Tensor head = embedding.clone();
          head.view({-1})[-1] += 1;
          return head;
        }) == expected);
  CHECK(with_head([](const at::Tensor& embedding) { return embedding.to(at::kHalf); }) == expected);
  CHECK(with_head([](const at::Tensor& embedding) { return embedding.reshape({8, 16}); }) == expected);
}

TEST_CASE("weights that are not floating point numbers of 16 or 32 bits are refused") {
  for (const auto& [dtype, name] : {std::pair{at::kChar, "I8"}, std::pair{at::kDouble, "F64"}}) {
    CHECK(after_edit([dtype = dtype](NamedTensors& tensors) {
            at::Tensor& norm = named(tensors, "model.norm.weight");
            norm = norm.to(dtype);
          }) == "/model.safetensors: tensor 'model.norm.weight': dtype is not one of weights; got " +
                    std::string(name) + "; expected F32, F16 or BF16");
  }
}

}  // namespace espalier
