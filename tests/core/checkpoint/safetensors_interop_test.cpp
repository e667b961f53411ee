// SPDX-License-Identifier: Apache-2.0
// Against the reference implementation, where the Python package is installed.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>

#include "core/base/files.hpp"
#include "core/checkpoint/safetensors.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/checkpoint/raw_file.hpp"

namespace espalier {
namespace {

const std::string kPython = std::string(ESPALIER_SOURCE_DIR) + "/.venv/bin/python";

bool run(const std::string& script, const fs::path& folder) {
  write_raw(folder / "script.py", script);
  const std::string command = "cd '" + folder.string() + "' && '" + kPython + "' script.py >log.txt 2>&1";
  return std::system(command.c_str()) == 0;
}

}  // namespace

TEST_CASE("the reference implementation reads what we write and we read what it writes") {
  const Scratch scratch;
  if (!run("import safetensors\n", scratch.folder())) {
    MESSAGE("skipped: .venv has no safetensors package");
    return;
  }
  const at::Tensor weight = at::arange(6).reshape({2, 3});
  save_tensors(scratch / "ours.safetensors",
               {{"b", weight.to(at::kBFloat16)},
                {"f", weight.to(at::kFloat).t()},
                {"empty", at::empty({0, 3})},
                {"scalar", at::scalar_tensor(2.5, at::kDouble)},
                {"mask", weight.gt(2)}},
               {{"format", "pt"}});
  const bool done = run(R"(
import torch
from safetensors.torch import load_file, save_file
t = load_file("ours.safetensors")
w = torch.arange(6).reshape(2, 3)
assert torch.equal(t["b"], w.to(torch.bfloat16))
assert torch.equal(t["f"], w.float().t())
assert t["empty"].shape == (0, 3) and t["scalar"].item() == 2.5 and torch.equal(t["mask"], w > 2)
save_file({k: v.contiguous() for k, v in t.items()}, "theirs.safetensors", metadata={"format": "pt"})
)",
                        scratch.folder());
  REQUIRE_MESSAGE(done, read_text(scratch / "log.txt"));
  const SafetensorsFile ours(scratch / "ours.safetensors"), theirs(scratch / "theirs.safetensors");
  CHECK(theirs.metadata() == ours.metadata());
  REQUIRE(theirs.tensors().size() == ours.tensors().size());
  for (const TensorInfo& info : ours.tensors()) {
    CAPTURE(info.name);
    REQUIRE(theirs.find(info.name) != nullptr);
    CHECK(at::equal(theirs.tensor(*theirs.find(info.name)), ours.tensor(info)));
  }
}

}  // namespace espalier
