// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <limits>
#include <set>

#include "core/base/error.hpp"
#include "core/checkpoint/checkpoint.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/checkpoint/raw_file.hpp"
#include "tests/core/checkpoint/tiny_checkpoint.hpp"

namespace espalier {
namespace {

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    names.insert(entry.path().filename().string());
  return names;
}

}  // namespace

TEST_CASE("a model that fits is one file, a larger one is shards and an index") {
  const Scratch scratch;
  std::int64_t total = 0;
  for (const Parameter& parameter : parameters(tiny_spec())) total += 4 * parameter.elements();
  write_tiny(scratch / "m", tiny_spec(), at::kFloat, total);
  CHECK(names_in(scratch / "m") == std::set<std::string>{"config.json", "model.safetensors"});
  CHECK(SafetensorsFile(scratch / "m" / "model.safetensors").metadata() ==
        std::map<std::string, std::string>{{"format", "pt"}});

  write_tiny(scratch / "m", tiny_spec(), at::kFloat, total - 1);
  CHECK(names_in(scratch / "m") == std::set<std::string>{"config.json", "model-00001-of-00002.safetensors",
                                                         "model-00002-of-00002.safetensors",
                                                         "model.safetensors.index.json"});
  const nlohmann::json index = read_json(scratch / "m" / "model.safetensors.index.json");
  CHECK(index["metadata"] == nlohmann::json{{"total_size", total}});
  CHECK(index["weight_map"].size() == 21);
  CHECK(index["weight_map"]["lm_head.weight"] == "model-00002-of-00002.safetensors");
  CHECK(index["weight_map"]["model.norm.weight"] == "model-00001-of-00002.safetensors");
}

TEST_CASE("no shard is larger than asked for, but one of a single tensor") {
  const Scratch scratch;
  write_tiny(scratch / "m", tiny_spec(), at::kFloat, 400);
  for (const std::string& name : names_in(scratch / "m")) {
    if (!name.ends_with(".safetensors")) continue;
    const SafetensorsFile file(scratch / "m" / name);
    std::uint64_t bytes = 0;
    for (const TensorInfo& info : file.tensors()) bytes += info.bytes();
    CHECK((bytes <= 400 || file.tensors().size() == 1));
  }
}

TEST_CASE("the same input gives the same bytes") {
  const Scratch scratch;
  for (const char* name : {"a", "b"}) write_tiny(scratch / name, tiny_spec(), at::kBFloat16, 600);
  CHECK(names_in(scratch / "a") == names_in(scratch / "b"));
  for (const std::string& name : names_in(scratch / "a")) {
    CAPTURE(name);
    CHECK(read_text(scratch / "a" / name) == read_text(scratch / "b" / name));
  }
}

TEST_CASE("parameters may come in pieces of any size, dtype and stride") {
  const Scratch scratch;
  const ModelSpec spec = tiny_spec();
  CheckpointWriter writer(scratch / "m", spec, tiny_config(spec), at::kFloat, 1000);
  std::size_t turn = 0;
  for (const Parameter& parameter : writer.parameters()) {
    const at::Tensor weight = tiny_weight(parameter, 0);
    const at::ScalarType dtype = std::array{at::kFloat, at::kBFloat16, at::kDouble, at::kHalf}[turn++ % 4];
    const at::Tensor flat = weight.to(dtype).reshape({-1});
    const at::Tensor strided = at::stack({flat, flat}, 1).select(1, 0);
    const std::int64_t first = flat.numel() / 3;
    writer.write(strided.narrow(0, 0, first));
    writer.write(strided.narrow(0, first, 0));
    writer.write(strided.narrow(0, first, flat.numel() - first));
  }
  writer.commit();
  write_tiny(scratch / "whole");
  CHECK(Checkpoint(scratch / "m").digest() == Checkpoint(scratch / "whole").digest());
}

TEST_CASE("side files and provenance are put beside the weights") {
  const Scratch scratch;
  write_raw(scratch / "tokenizer.json", "{\"a\": 1}");
  const ModelSpec spec = tiny_spec();
  CheckpointWriter writer(scratch / "m", spec, tiny_config(spec), at::kFloat, 1 << 20);
  writer.add_side_file(scratch / "tokenizer.json");
  writer.add_json("espalier.json", {{"seed", 1}});
  for (const Parameter& parameter : writer.parameters()) writer.write(tiny_weight(parameter, 0));
  CHECK_FALSE(fs::exists(scratch / "m"));
  writer.commit();
  CHECK(read_text(scratch / "m" / "tokenizer.json") == "{\"a\": 1}");
  CHECK(read_json(scratch / "m" / "espalier.json") == nlohmann::json{{"seed", 1}});
  CHECK(names_in(scratch.folder()) == std::set<std::string>{"m", "tokenizer.json"});
}

TEST_CASE("a weight that does not fit float16 is an Error and nothing is left") {
  const Scratch scratch;
  const ModelSpec spec = tiny_spec();
  {
    CheckpointWriter writer(scratch / "m", spec, tiny_config(spec), at::kHalf, 1 << 20);
    const at::Tensor embedding = at::zeros({16, 8});
    embedding[3][2] = -70000.0;
    CHECK(message_of([&] { writer.write(embedding); }) ==
          (scratch / "m").string() +
              ": tensor 'model.embed_tokens.weight': a weight does not fit float16; got "
              "magnitude 70000; expected at most 65504 (use bfloat16)");
  }
  CHECK(fs::is_empty(scratch.folder()));
}

TEST_CASE("an infinite weight stays infinite in float16") {
  const Scratch scratch;
  const ModelSpec spec = tiny_spec();
  CheckpointWriter writer(scratch / "m", spec, tiny_config(spec), at::kHalf, 1 << 20);
  CHECK_NOTHROW(writer.write(at::full({16, 8}, std::numeric_limits<float>::infinity())));
}

TEST_CASE("a checkpoint that is not complete is our own bug and leaves nothing") {
  const Scratch scratch;
  const ModelSpec spec = tiny_spec();
  {
    CheckpointWriter writer(scratch / "m", spec, tiny_config(spec), at::kFloat, 1 << 20);
    CHECK_THROWS_AS(writer.write(at::ones({16 * 8 + 1})), InternalError);
    CHECK_THROWS_AS(writer.write(at::ones({2}, at::kLong)), InternalError);
    writer.write(at::ones({16 * 8}));
    CHECK_THROWS_AS(writer.commit(), InternalError);
  }
  CHECK(fs::is_empty(scratch.folder()));
}

TEST_CASE("all files of a checkpoint follow the umask") {
  const Scratch scratch;
  const mode_t before = umask(0022);
  write_tiny(scratch / "m", tiny_spec(), at::kFloat, 600);
  umask(before);
  for (const std::string& name : names_in(scratch / "m")) {
    CAPTURE(name);
    struct stat status {};
    REQUIRE(stat((scratch / "m" / name).c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0644);
  }
}

}  // namespace espalier
