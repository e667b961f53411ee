// SPDX-License-Identifier: Apache-2.0
// What an index and the files of a folder can disagree about.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/checkpoint/checkpoint.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/checkpoint/raw_file.hpp"
#include "tests/core/checkpoint/tiny_checkpoint.hpp"

namespace espalier {
namespace {

const std::string kIndex = "model.safetensors.index.json";
const std::string kFirst = "model-00001-of-00002.safetensors";
const std::string kSecond = "model-00002-of-00002.safetensors";

// A checkpoint of two shards, and what opening it says; the folder's path is cut from its start.
class Sharded {
 public:
  Sharded() { write_tiny(folder(), tiny_spec(), at::kFloat, 3500); }
  fs::path folder() const { return scratch_ / "m"; }
  fs::path operator/(const std::string& name) const { return folder() / name; }
  std::string complaint() const {
    const std::string message = message_of([&] { const Checkpoint checkpoint(folder()); });
    return message.starts_with(folder().string()) ? message.substr(folder().string().size()) : message;
  }
  std::string after_index(const std::function<void(nlohmann::json&)>& change) const {
    edit_json(folder() / kIndex, change);
    return complaint();
  }

 private:
  Scratch scratch_;
};

}  // namespace

TEST_CASE("two shards that agree with their index are accepted") {
  const Sharded model;
  CHECK(fs::exists(model / kFirst));
  CHECK(fs::exists(model / kSecond));
  CHECK(model.complaint() == "");
}

TEST_CASE("a shard outside the folder is refused") {
  for (const char* name :
       {"../x.safetensors", "/etc/x.safetensors", "sub/x.safetensors", "..", "", "x.bin", "a\\b.safetensors"}) {
    const Sharded model;
    CHECK(model.after_index([&](nlohmann::json& index) { index["weight_map"]["lm_head.weight"] = name; }) ==
          "/model.safetensors.index.json: a shard's name is not allowed; got '" + std::string(name) +
              "'; expected a .safetensors file of the same folder");
  }
}

TEST_CASE("a missing shard is named") {
  const Sharded model;
  fs::remove(model / kSecond);
  CHECK(model.complaint() ==
        "/model.safetensors.index.json: shard is missing; got no '" + kSecond + "' in the folder; expected 2 shards");
}

TEST_CASE("a truncated shard is named") {
  const Sharded model;
  const auto size = fs::file_size(model / kSecond);
  fs::resize_file(model / kSecond, size - 100);
  const std::string end = std::to_string(SafetensorsFile(model / kFirst).tensors().size());
  CHECK(model.complaint().starts_with("/" + kSecond +
                                      ": tensor 'lm_head.weight': data lies past the end of the file "
                                      "(is it complete?); got end "));
}

TEST_CASE("an index without a weight_map is refused") {
  const std::string expected =
      "/model.safetensors.index.json: weight_map is missing; expected an object from tensor names to file names";
  CHECK(Sharded().after_index([](nlohmann::json& index) { index.erase("weight_map"); }) == expected);
  CHECK(Sharded().after_index([](nlohmann::json& index) { index["weight_map"] = nlohmann::json::object(); }) ==
        expected);
  CHECK(Sharded().after_index([](nlohmann::json& index) { index = nlohmann::json::array(); }) == expected);
  CHECK(Sharded().after_index([](nlohmann::json& index) { index["weight_map"]["lm_head.weight"] = 3; }) ==
        "/model.safetensors.index.json: weight_map of 'lm_head.weight' is not a file name; got number");
}

TEST_CASE("a weight_map that disagrees with the files is refused") {
  CHECK(Sharded().after_index([](nlohmann::json& index) { index["weight_map"]["lm_head.weight"] = kFirst; }) ==
        "/model.safetensors.index.json: weight_map disagrees with the files about tensor 'lm_head.weight'; got '" +
            kFirst + "'; expected '" + kSecond + "'");
  CHECK(Sharded().after_index([](nlohmann::json& index) { index["weight_map"]["ghost"] = kFirst; }) ==
        "/model.safetensors.index.json: weight_map disagrees with the files about tensor 'ghost'; got '" + kFirst +
            "'; expected no such tensor");
  CHECK(Sharded().after_index([](nlohmann::json& index) { index["weight_map"].erase("lm_head.weight"); }) ==
        "/model.safetensors.index.json: weight_map lacks a tensor; got no 'lm_head.weight'; expected it in '" +
            kSecond + "'");
}

TEST_CASE("a tensor in two shards is refused") {
  const Sharded model;
  edit_tensors(model / kSecond, [](NamedTensors& tensors) {
    tensors.emplace_back("model.embed_tokens.weight", at::ones({16, 8}));
  });
  CHECK(model.complaint() ==
        ": tensor 'model.embed_tokens.weight' is in two files; got '" + kFirst + "' and '" + kSecond + "'");
}

TEST_CASE("weight files that nothing uses are refused") {
  const Sharded model;
  write_raw(model / "model-00003-of-00003.safetensors", "stale");
  CHECK(model.complaint() ==
        ": a weight file is not used; got 'model-00003-of-00003.safetensors' beside model.safetensors.index.json; "
        "expected one set of weights (remove what is stale)");
  const Scratch scratch;
  write_tiny(scratch / "m");
  write_raw(scratch / "m" / kFirst, "stale");
  CHECK(message_of([&] { const Checkpoint checkpoint(scratch / "m"); }) ==
        (scratch / "m").string() + ": a weight file is not used; got '" + kFirst +
            "' beside model.safetensors; expected one set of weights (remove what is stale)");
}

TEST_CASE("a folder without weights says what it has instead") {
  const Sharded model;
  fs::remove(model / kIndex);
  CHECK(model.complaint() ==
        ": shards without an index; got '" + kFirst + "'; expected model.safetensors or model.safetensors.index.json");
  fs::remove(model / kFirst);
  fs::remove(model / kSecond);
  CHECK(model.complaint() == ": no weights; expected model.safetensors or model.safetensors.index.json");
  write_raw(model / "pytorch_model.bin", "pickle");
  CHECK(model.complaint() ==
        ": pickled weights are never read; got pytorch_model.bin; expected model.safetensors "
        "(convert them with save_pretrained)");
}

}  // namespace espalier
