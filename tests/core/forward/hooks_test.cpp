// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/forward/walk.hpp"
#include "specs.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

struct Recorder : Hooks {
  std::vector<std::string> calls;
  std::vector<at::Tensor> seen;
  at::Tensor at_tap(Tap tap, std::int64_t layer, const at::Tensor& x) override {
    calls.push_back(std::string(name_of(tap)) + " " + std::to_string(layer) + " " + std::to_string(x.size(2)));
    seen.push_back(x);
    return x;
  }
  at::Tensor into_residual(std::int64_t layer, const at::Tensor& x) override {
    calls.push_back("residual " + std::to_string(layer));
    return x;
  }
};

// Zeroes hidden channels everywhere they enter, and lets norms average over the others.
struct HiddenMask : Hooks {
  at::Tensor mask;
  at::Tensor at_tap(Tap, std::int64_t, const at::Tensor& x) override { return x; }
  at::Tensor into_residual(std::int64_t, const at::Tensor& x) override { return x * mask; }
  at::Tensor kept_hidden() override { return mask; }
};

}  // namespace

TEST_CASE("taps are called once each, in the order of the computation, with their own width") {
  Model gated(tiny("llama", 1), 1, kFloat32);
  Recorder recorder;
  (void)hidden_states(gated, two_of(6), &recorder);
  CHECK(recorder.calls == std::vector<std::string>{"residual -1", "norm_output 0 16", "o_proj_input 0 32", "residual 0",
                                                   "norm_output 0 16", "pre_activation 0 24", "up_output 0 24",
                                                   "fc2_input 0 24", "residual 0"});
  Model plain(tiny("nemotron", 1), 1, kFloat32);
  Recorder ungated;
  (void)hidden_states(plain, two_of(6), &ungated);
  CHECK(ungated.calls == std::vector<std::string>{"residual -1", "norm_output 0 16", "o_proj_input 0 32", "residual 0",
                                                  "norm_output 0 16", "up_output 0 24", "pre_activation 0 24",
                                                  "fc2_input 0 24", "residual 0"});
}

TEST_CASE("fc2_input is the activation of what the taps before it saw") {
  Model model(tiny("qwen2", 1), 1, kFloat32);
  Recorder recorder;
  (void)hidden_states(model, two_of(6), &recorder);
  const at::Tensor gate = recorder.seen[3], up = recorder.seen[4], inner = recorder.seen[5];
  CHECK(difference(at::silu(gate) * up, inner) < 1e-6);
}

TEST_CASE("what a tap returns is used instead") {
  struct Silence : Hooks {
    at::Tensor at_tap(Tap tap, std::int64_t layer, const at::Tensor& x) override {
      return layer == 1 && (tap == Tap::fc2_input || tap == Tap::o_proj_input) ? at::zeros_like(x) : x;
    }
  } silence;
  ModelSpec spec = tiny("llama");
  Model model(spec, 1, kFloat32);
  spec.layers[1].attention = spec.layers[1].mlp = false;
  Model without(spec, 1, kFloat32);
  std::size_t next = 0;
  for (std::size_t i = 0; i < model.parameters().size(); ++i) {
    if (model.parameters()[i].layer != 1) without.tensors()[next++] = model.tensors()[i];
  }
  CHECK(difference(hidden_states(model, two_of(6), &silence), hidden_states(without, two_of(6))) < 1e-6);
}

TEST_CASE("masked hidden channels and norms over the kept ones equal a narrower model, in every family") {
  for (const std::string& family : families()) {
    CAPTURE(family);
    ModelSpec spec = tiny(family);
    if (family != "llama" && family != "nemotron") spec.layers[2].sliding_window = 3;
    if (family == "mistral") spec.layers[0].sliding_window = spec.layers[1].sliding_window = 3;
    Model wide(spec, 7, kFloat64);
    for (at::Tensor& tensor : wide.tensors()) tensor += 0.1 * at::randn_like(tensor);
    HiddenMask hooks;
    hooks.mask = at::ones({16}, at::kDouble);
    for (const std::int64_t channel : {0, 5, 6, 15}) hooks.mask[channel] = 0;
    const at::Tensor kept = at::nonzero(hooks.mask).squeeze(1);
    spec.hidden = 12;
    Model narrow(spec, 7, kFloat64);
    for (std::size_t i = 0; i < wide.parameters().size(); ++i) {
      at::Tensor tensor = wide.tensors()[i];
      for (std::size_t d = 0; d < wide.parameters()[i].dims.size(); ++d) {
        if (wide.parameters()[i].dims[d] == DimProduct{Dim::hidden}) {
          tensor = tensor.index_select(static_cast<std::int64_t>(d), kept);
        }
      }
      narrow.tensors()[i] = tensor.contiguous();
    }
    const at::Tensor masked = hidden_states(wide, two_of(6), &hooks), sliced = hidden_states(narrow, two_of(6));
    CHECK(difference(masked.index_select(2, kept), sliced) < 1e-12);
    CHECK(difference(logits(wide.outer(), masked), logits(narrow.outer(), sliced)) < 1e-12);
  }
}
