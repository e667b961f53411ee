// SPDX-License-Identifier: Apache-2.0
#include "core/forward/walk.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "specs.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

std::vector<at::Tensor> batches() {
  return {at::arange(10).view({2, 5}), at::arange(20, 26).view({2, 3}), at::arange(7).view({1, 7})};
}

struct Diary : WalkVisitor {
  std::vector<std::string> lines;
  std::int64_t skip = -1;
  const at::Tensor* norm_of_layer_1 = nullptr;
  void fetched(std::int64_t layer, const Weights& weights) override {
    lines.push_back("fetched " + std::to_string(layer));
    if (layer == 1 && norm_of_layer_1 != nullptr) CHECK(at::equal(weights[Role::attn_norm], *norm_of_layer_1));
  }
  bool enter(std::int64_t layer, std::size_t batch, const at::Tensor&) override {
    lines.push_back("enter " + std::to_string(layer) + " " + std::to_string(batch));
    return layer != skip;
  }
  void leave(std::int64_t layer, std::size_t batch, const at::Tensor& before, const at::Tensor& after) override {
    lines.push_back("leave " + std::to_string(layer) + " " + std::to_string(batch));
    CHECK_FALSE(at::equal(before, after));
  }
};

}  // namespace

TEST_CASE("a walk gives the states of a forward pass, for batches of any length") {
  for (const std::string& family : families()) {
    Model model(tiny(family), 4, kFloat32);
    const std::vector<at::Tensor> states = walk(model, batches(), nullptr);
    for (std::size_t b = 0; b < states.size(); ++b) {
      const at::Tensor hidden = final_norm(model.spec(), model.outer(), states[b], nullptr);
      CHECK(difference(hidden, hidden_states(model, batches()[b])) < 1e-6);
      CHECK_FALSE(states[b].requires_grad());
    }
  }
}

TEST_CASE("layers are outside, batches inside, and progress is told after each layer") {
  Model model(tiny("llama", 2), 4, kFloat32);
  Diary diary;
  const at::Tensor norm = model.layer(1)[Role::attn_norm];
  diary.norm_of_layer_1 = &norm;
  (void)walk(model, {batches()[0], batches()[1]}, &diary,
             [&](std::int64_t layer) { diary.lines.push_back("done " + std::to_string(layer)); });
  CHECK(diary.lines == std::vector<std::string>{"fetched 0", "enter 0 0", "leave 0 0", "enter 0 1", "leave 0 1",
                                                "done 0", "fetched 1", "enter 1 0", "leave 1 0", "enter 1 1",
                                                "leave 1 1", "done 1"});
}

TEST_CASE("a layer that is not entered is left out") {
  Model model(tiny("qwen3"), 4, kFloat32);
  Diary diary;
  diary.skip = 1;
  const std::vector<at::Tensor> states = walk(model, batches(), &diary);
  ModelSpec spec = model.spec();
  spec.layers.erase(spec.layers.begin() + 1);
  Model shorter(spec, 4, kFloat32);
  std::size_t next = 0;
  for (std::size_t i = 0; i < model.parameters().size(); ++i) {
    if (model.parameters()[i].layer != 1) shorter.tensors()[next++] = model.tensors()[i];
  }
  CHECK(difference(states[0], walk(shorter, batches(), nullptr)[0]) < 1e-6);
}

TEST_CASE("a walk leaves no gradients behind, even of a model that trains") {
  Model model(tiny("llama"), 4, kFloat32);
  model.set_requires_grad(true);
  CHECK_FALSE(walk(model, batches(), nullptr)[0].requires_grad());
}
