// SPDX-License-Identifier: Apache-2.0
// Damaged config.json and index: an Error that names the file, or a checkpoint whose every tensor can be read.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "core/checkpoint/checkpoint.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/checkpoint/raw_file.hpp"
#include "tests/core/checkpoint/tiny_checkpoint.hpp"
#include "tests/fuzz/mutate.hpp"

namespace espalier {
namespace {

// True when the folder was accepted. Exceptions that are not an Error go through and fail the test.
bool read_checkpoint(const fs::path& folder) {
  try {
    const Checkpoint checkpoint(folder);
    for (const Parameter& parameter : checkpoint.parameters()) {
      CHECK(at::equal(checkpoint.tensor(parameter), tiny_weight(parameter, 0)));
    }
    return true;
  } catch (const Error& error) {
    CHECK(std::string(error.what()).starts_with(folder.string()));
    return false;
  }
}

// Damages one file of the folder again and again; how often the folder was accepted.
int accepted_of(int rounds, const fs::path& folder, const std::string& file, std::uint64_t seed) {
  const std::string good = read_text(folder / file);
  int accepted = 0;
  for (int round = 0; round < rounds; ++round) {
    CAPTURE(round);
    Dice dice(mix(seed, static_cast<std::uint64_t>(round)));
    std::string text = good;
    for (std::size_t left = 1 + dice.below(2); left > 0; --left) mutate(text, dice);
    write_raw(folder / file, text);
    if (read_checkpoint(folder)) ++accepted;
  }
  write_raw(folder / file, good);
  CHECK(read_checkpoint(folder));
  return accepted;
}

}  // namespace

TEST_CASE("a damaged config.json is an Error or a checkpoint that can be read, never a crash") {
  const Scratch scratch;
  write_tiny(scratch / "m");
  const int accepted = accepted_of(1500, scratch / "m", "config.json", 1);
  CHECK(accepted > 10);
  CHECK(accepted < 1000);
}

TEST_CASE("a damaged index is an Error or a checkpoint that can be read, never a crash") {
  const Scratch scratch;
  write_tiny(scratch / "m", tiny_spec(), at::kFloat, 3500);
  const int accepted = accepted_of(1500, scratch / "m", "model.safetensors.index.json", 2);
  CHECK(accepted > 10);
  CHECK(accepted < 1000);
}

}  // namespace espalier
