// SPDX-License-Identifier: Apache-2.0
// Thousands of damaged files, the same on every run. Whatever the damage: an Error, or a file whose every tensor can be
// read. Run it in the asan preset to see reads outside the map.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "core/checkpoint/safetensors.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/checkpoint/raw_file.hpp"
#include "tests/fuzz/mutate.hpp"

namespace espalier {
namespace {

const std::string kHeader =
    R"({"__metadata__":{"format":"pt","step":"12"},"model.embed.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
    R"("norm":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},"mask":{"dtype":"BOOL","shape":[2,1],)"
    R"("data_offsets":[32,34]},"none":{"dtype":"I64","shape":[0,7],"data_offsets":[34,34]},)"
    R"("ids":{"dtype":"I64","shape":[2],"data_offsets":[34,50]},"scalar":{"dtype":"U8","shape":[],"data_offsets":[50,51]}})";

// Touches every byte of every tensor; true when the file was accepted.
bool read_file(const fs::path& path) {
  try {
    const SafetensorsFile file(path);
    for (const TensorInfo& info : file.tensors()) {
      const at::Tensor tensor = file.tensor(info);
      CHECK(tensor.sizes() == at::IntArrayRef(info.shape));
      CHECK(tensor.nbytes() == info.bytes());
      const auto* bytes = static_cast<const unsigned char*>(tensor.const_data_ptr());
      volatile unsigned sum = 0;
      for (std::size_t i = 0; i < tensor.nbytes(); ++i) sum = sum + bytes[i];
    }
    return true;
  } catch (const Error& error) {
    const std::string message = error.what();
    CHECK(message.starts_with(path.string() + ": "));
    CHECK(message.size() < path.string().size() + 600);
    return false;
  }
}

}  // namespace

TEST_CASE("a damaged header is an Error or a readable file, never a crash") {
  const Scratch scratch;
  const fs::path path = scratch / "m.safetensors";
  const std::string data = std::string(32, '\x3f') + std::string("\x01\x00", 2) + std::string(17, '\x02');
  write_raw(path, raw_safetensors(kHeader, data));
  REQUIRE(read_file(path));
  int accepted = 0;
  for (std::uint64_t round = 0; round < 6000; ++round) {
    CAPTURE(round);
    Dice dice(round);
    std::string header = kHeader;
    for (std::size_t left = 1 + dice.below(3); left > 0; --left) mutate(header, dice);
    write_raw(path, raw_safetensors(header, data));
    if (read_file(path)) ++accepted;
  }
  // Changes of names, metadata and spaces are no damage; nearly everything else is.
  CHECK(accepted > 100);
  CHECK(accepted < 3000);
}

TEST_CASE("a damaged file is an Error or a readable file, never a crash") {
  const Scratch scratch;
  const fs::path path = scratch / "m.safetensors";
  const std::string good =
      raw_safetensors(kHeader, std::string(32, '\x3f') + std::string("\x01\x00", 2) + std::string(17, '\x02'));
  for (std::uint64_t round = 0; round < 4000; ++round) {
    CAPTURE(round);
    Dice dice(mix(7, round));
    std::string bytes = good;
    if (dice.below(4) == 0) bytes[dice.below(8)] = static_cast<char>(dice.below(256));
    for (std::size_t left = dice.below(3); left > 0; --left) mutate(bytes, dice);
    if (dice.below(5) == 0) bytes.resize(dice.below(bytes.size() + 1));
    write_raw(path, bytes);
    read_file(path);
  }
}

TEST_CASE("every length of a truncated file is refused") {
  const Scratch scratch;
  const fs::path path = scratch / "m.safetensors";
  const std::string good =
      raw_safetensors(kHeader, std::string(32, '\x3f') + std::string("\x01\x00", 2) + std::string(17, '\x02'));
  for (std::size_t size = 0; size < good.size(); ++size) {
    CAPTURE(size);
    write_raw(path, good.substr(0, size));
    CHECK_FALSE(read_file(path));
  }
}

}  // namespace espalier
