// SPDX-License-Identifier: Apache-2.0
// 200 MB of weights pass through with much less memory.
#ifndef __SANITIZE_ADDRESS__  // whose quarantine keeps what was freed
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <fstream>
#include <string>

#include "core/checkpoint/checkpoint.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/checkpoint/tiny_checkpoint.hpp"

namespace espalier {
namespace {

constexpr std::int64_t kMegabyte = 1 << 20;

std::int64_t kilobytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) return std::stoll(line.substr(field.size() + 1));
  }
  return 0;
}

// By how much the peak of resident memory rises above what is resident now.
template <class Work>
std::int64_t rise(const Work& work) {
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak starts anew from here
  const std::int64_t before = kilobytes("VmRSS");
  work();
  return (kilobytes("VmHWM") - before) * 1024;
}

}  // namespace

TEST_CASE("a checkpoint is written and read in bounded memory") {
  const Scratch scratch;
  ModelSpec spec = tiny_spec();
  spec.hidden = 512;
  spec.vocab = 60000;
  spec.layers.assign(4, LayerSpec{.kv_groups = 4, .heads_per_group = 2, .head_dim = 64, .ffn = 2048});
  const at::Tensor piece = at::ones({kMegabyte}, at::kBFloat16);
  at::add(piece, piece);  // warms up what LibTorch allocates once

  const std::int64_t written = rise([&] {
    CheckpointWriter writer(scratch / "m", spec, tiny_config(spec), at::kFloat, 100 * kMegabyte);
    for (const Parameter& parameter : writer.parameters()) {
      for (std::int64_t left = parameter.elements(); left > 0; left -= kMegabyte) {
        writer.write(piece.narrow(0, 0, std::min(left, kMegabyte)));
      }
    }
    writer.commit();
  });
  std::uintmax_t size = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(scratch / "m")) size += entry.file_size();
  REQUIRE(size > 200 * kMegabyte);
  CHECK(written < 64 * kMegabyte);

  const Checkpoint checkpoint(scratch / "m");
  CHECK(rise([&] { checkpoint.digest(); }) < 64 * kMegabyte);
  // The largest tensor is 117 MiB: whoever walks over it in pieces can drop them.
  CHECK(rise([&] {
          for (const Parameter& parameter : checkpoint.parameters()) {
            if (parameter.layer < 0) continue;
            CHECK(checkpoint.tensor(parameter).min().item<float>() == 1.0F);
            checkpoint.forget(parameter);
          }
        }) < 64 * kMegabyte);
}

TEST_CASE("a whole tensor is converted piece by piece") {
  const Scratch scratch;
  ModelSpec spec = tiny_spec();
  spec.hidden = 1024;
  spec.vocab = 40000;
  const at::Tensor embedding = at::ones({40000, 1024}, at::kBFloat16);
  CHECK(rise([&] {
          CheckpointWriter writer(scratch / "m", spec, tiny_config(spec), at::kFloat, 1 << 30);
          writer.write(embedding);
        }) < 64 * kMegabyte);
}

}  // namespace espalier
#endif
