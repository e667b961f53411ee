// SPDX-License-Identifier: Apache-2.0
#include "core/checkpoint/checkpoint.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "tests/core/base/scratch.hpp"
#include "tests/core/checkpoint/raw_file.hpp"
#include "tests/core/checkpoint/tiny_checkpoint.hpp"

namespace espalier {

TEST_CASE("a checkpoint comes back as it was written, in every dtype of weights and any number of shards") {
  for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
    for (const std::int64_t shard_bytes : {std::int64_t{700}, std::int64_t{1} << 40}) {
      for (const bool tied : {false, true}) {
        const Scratch scratch;
        write_tiny(scratch / "m", tiny_spec(tied), dtype, shard_bytes);
        const Checkpoint checkpoint(scratch / "m");
        CHECK(checkpoint.spec() == tiny_spec(tied));
        CHECK(checkpoint.config() == tiny_config(tiny_spec(tied)));
        CHECK((checkpoint.dtype() == dtype));
        CHECK(checkpoint.parameters().size() == (tied ? 20 : 21));
        for (const Parameter& parameter : checkpoint.parameters()) {
          CAPTURE(parameter.name);
          CHECK((checkpoint.info(parameter).dtype == dtype));
          CHECK(at::equal(checkpoint.tensor(parameter).to(at::kFloat), tiny_weight(parameter, 0)));
          checkpoint.forget(parameter);
        }
      }
    }
  }
}

TEST_CASE("the digest is that of the content, not of its packing") {
  const Scratch scratch;
  write_tiny(scratch / "m");
  const std::string digest = Checkpoint(scratch / "m").digest();
  CHECK(digest.size() == 64);

  write_tiny(scratch / "sharded", tiny_spec(), at::kFloat, 600);
  CHECK(Checkpoint(scratch / "sharded").digest() == digest);

  write_raw(scratch / "m" / "config.json", read_json(scratch / "m" / "config.json").dump());
  CHECK(Checkpoint(scratch / "m").digest() == digest);

  write_raw(scratch / "m" / "tokenizer.json", "{}");
  CHECK(Checkpoint(scratch / "m").digest() == digest);
}

TEST_CASE("the digest changes with a weight, with the dtype and with the config") {
  const Scratch scratch;
  write_tiny(scratch / "m");
  const std::string digest = Checkpoint(scratch / "m").digest();

  write_tiny(scratch / "other", tiny_spec(), at::kFloat, 1 << 30, 1);
  CHECK(Checkpoint(scratch / "other").digest() != digest);
  write_tiny(scratch / "half", tiny_spec(), at::kHalf);
  CHECK(Checkpoint(scratch / "half").digest() != digest);
  edit_json(scratch / "m" / "config.json", [](nlohmann::json& config) {
    config["rope_theta"] = 500.0;
    config["rope_parameters"]["rope_theta"] = 500.0;
  });
  CHECK(Checkpoint(scratch / "m").digest() != digest);
}

TEST_CASE("a digest differs when two tensors change places") {
  const Scratch scratch;
  write_tiny(scratch / "m");
  const std::string digest = Checkpoint(scratch / "m").digest();
  edit_tensors(scratch / "m" / "model.safetensors", [](NamedTensors& tensors) {
    std::swap(named(tensors, "model.layers.0.mlp.up_proj.weight"),
              named(tensors, "model.layers.1.mlp.gate_proj.weight"));
  });
  CHECK(Checkpoint(scratch / "m").digest() != digest);
}

TEST_CASE("side files are all files but weights, configs of ours and hidden ones") {
  const Scratch scratch;
  write_tiny(scratch / "m");
  for (const char* name :
       {"tokenizer.json", "chat_template.jinja", "LICENSE", "generation_config.json", "espalier.json", ".gitattributes",
        "consolidated.safetensors", "pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth", "a.pt",
        "m.gguf", "tf_model.h5", "flax_model.msgpack", "params.json"}) {
    write_raw(scratch / "m" / name, "x");
  }
  fs::create_directory(scratch / "m" / "original");
  std::vector<std::string> names;
  for (const fs::path& file : Checkpoint(scratch / "m").side_files()) names.push_back(file.filename().string());
  CHECK(names ==
        std::vector<std::string>{"LICENSE", "chat_template.jinja", "generation_config.json", "tokenizer.json"});
}

TEST_CASE("a stored head that equals the tied embedding is accepted and changes nothing") {
  const Scratch scratch;
  write_tiny(scratch / "m", tiny_spec(true));
  const std::string digest = Checkpoint(scratch / "m").digest();
  edit_tensors(scratch / "m" / "model.safetensors", [](NamedTensors& tensors) {
    tensors.emplace_back("lm_head.weight", named(tensors, "model.embed_tokens.weight"));
  });
  const Checkpoint checkpoint(scratch / "m");
  CHECK(checkpoint.parameters().size() == 20);
  CHECK(checkpoint.digest() == digest);
}

TEST_CASE("rotary buffers that older programs saved are accepted") {
  const Scratch scratch;
  write_tiny(scratch / "m");
  edit_tensors(scratch / "m" / "model.safetensors", [](NamedTensors& tensors) {
    tensors.emplace_back("model.layers.0.self_attn.rotary_emb.inv_freq", at::ones({2}));
  });
  CHECK(Checkpoint(scratch / "m").parameters().size() == 21);
}

TEST_CASE("files may be links, as in a download cache") {
  const Scratch scratch;
  write_tiny(scratch / "blobs", tiny_spec(), at::kFloat, 600);
  fs::create_directory(scratch / "m");
  for (const fs::directory_entry& entry : fs::directory_iterator(scratch / "blobs")) {
    fs::create_symlink(entry.path(), scratch / "m" / entry.path().filename().string());
  }
  write_raw(scratch / "license", "free");
  fs::create_symlink(scratch / "license", scratch / "m" / "LICENSE");
  const Checkpoint checkpoint(scratch / "m");
  CHECK(checkpoint.digest() == Checkpoint(scratch / "blobs").digest());
  CHECK(checkpoint.side_files() == std::vector<fs::path>{scratch / "m" / "LICENSE"});
}

TEST_CASE("weights of another program may lie beside the model's") {
  const Scratch scratch;
  write_tiny(scratch / "m");
  write_raw(scratch / "m" / "consolidated.safetensors", "not even valid");
  write_raw(scratch / "m" / "adapter_model.safetensors", "not even valid");
  CHECK_NOTHROW(Checkpoint(scratch / "m"));
}

TEST_CASE("the dtype of a mixed checkpoint is that of most of its data") {
  const Scratch scratch;
  write_tiny(scratch / "m", tiny_spec(), at::kBFloat16);
  edit_tensors(scratch / "m" / "model.safetensors", [](NamedTensors& tensors) {
    at::Tensor& norm = named(tensors, "model.norm.weight");
    norm = norm.to(at::kFloat);
  });
  const Checkpoint checkpoint(scratch / "m");
  CHECK((checkpoint.dtype() == at::kBFloat16));
}

TEST_CASE("the spec of a folder needs no weights") {
  const Scratch scratch;
  write_tiny(scratch / "m");
  fs::remove(scratch / "m" / "model.safetensors");
  CHECK(read_folder_spec(scratch / "m") == tiny_spec());
}

}  // namespace espalier
