// SPDX-License-Identifier: Apache-2.0
// Our forward pass against what transformers computed (tests/golden/make_goldens.py).
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include <filesystem>
#include <set>

#include "core/base/files.hpp"
#include "core/forward/walk.hpp"
#include "specs.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

std::vector<fs::path> goldens() {
  std::vector<fs::path> folders;
  for (const fs::directory_entry& entry : fs::directory_iterator(fs::path(ESPALIER_SOURCE_DIR) / "tests/golden")) {
    if (fs::exists(entry.path() / "expected.safetensors")) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

struct Expected {
  at::Tensor tokens, logits, nll;
};

Expected expected(const fs::path& folder) {
  const SafetensorsFile file(folder / "expected.safetensors");
  const auto get = [&](const char* name) { return file.tensor(*file.find(name)).clone(); };
  return {get("tokens"), get("logits"), get("nll")};
}

}  // namespace

TEST_CASE("the goldens cover every family") {
  std::set<std::string> seen;
  for (const fs::path& folder : goldens()) seen.insert(read_folder_spec(folder).family);
  CHECK(std::vector<std::string>(seen.begin(), seen.end()) == families());
  CHECK(goldens().size() >= 10);
}

TEST_CASE("logits and nll equal those of transformers, with resident and with streamed weights") {
  for (const fs::path& folder : goldens()) {
    CAPTURE(folder.filename().string());
    const at::NoGradGuard no_grad;
    const Checkpoint checkpoint(folder);
    const Expected want = expected(folder);
    Model model(checkpoint, kFloat32);
    const at::Tensor hidden = hidden_states(model, want.tokens);
    CHECK(difference(logits(model.outer(), hidden), want.logits) < 1e-5);
    at::Tensor last;
    const at::Tensor nll = next_token_nll(model.outer(), hidden, want.tokens, &last);
    CHECK(difference(nll, want.nll) < 1e-5);
    CHECK(difference(nll.mean(), want.nll.mean()) < 2e-6);
    CHECK(difference(last, want.logits.select(1, -1)) < 1e-5);

    StreamedWeights streamed(checkpoint, kFloat32);
    const std::vector<at::Tensor> states = walk(streamed, {want.tokens}, nullptr);
    CHECK(at::equal(final_norm(streamed.spec(), streamed.outer(), states[0], nullptr), hidden));
  }
}

TEST_CASE("configs of transformers 4 and 5 and our own give one spec") {
  for (const fs::path& folder : goldens()) {
    CAPTURE(folder.filename().string());
    const nlohmann::json five = read_json(folder / "config.json");
    const ModelSpec spec = read_spec(five, "config.json");
    CHECK((read_spec(read_json(folder / "config.transformers4.json"), "config.transformers4.json") == spec));
    CHECK((read_spec(write_config(spec, five, {}, "float32"), "written") == spec));
    CHECK((read_spec(write_config(spec, {}, {}, "float32"), "written") == spec));
  }
}

TEST_CASE("a model in bfloat16 is near the model in float32") {
  const at::NoGradGuard no_grad;
  for (const fs::path& folder : goldens()) {
    CAPTURE(folder.filename().string());
    const Expected want = expected(folder);
    Model model(Checkpoint(folder), {at::kBFloat16, at::kCPU});
    const at::Tensor nll = next_token_nll(model.outer(), hidden_states(model, want.tokens), want.tokens);
    CHECK((nll.scalar_type() == at::kFloat));
    CHECK(difference(nll.mean(), want.nll.mean()) < 0.03);
  }
}
