// SPDX-License-Identifier: Apache-2.0
#include "core/plugin/guarded.hpp"

#include <ATen/core/Tensor.h>

#include <string>

#include "support.hpp"

using espalier::Registry;
using espalier::Value;
using espalier_test::block;
using espalier_test::TestHost;

namespace {

std::unique_ptr<espalier::LogitLoss> throwing(const std::string& what, bool early) {
  Registry registry;
  espalier::load_plugin(espalier_test::fixture("good"), registry);
  const espalier::Component loss = block("loss", "throwing", "what", Value{what});
  loss->options["early"] = {Value{early}, {}};
  return registry.loss(*loss, TestHost()).on_logits;
}

void use(const std::string& what) {
  const at::Tensor none;
  throwing(what, false)->forward({none, none, none});
}

const std::string kWhere = "in loss 'throwing' (plugin good 1.2.3): ";

}  // namespace

TEST_CASE("what a component throws in use names the component and its plugin, and keeps its kind") {
  CHECK_THROWS_WITH_AS(use("error"), (kWhere + "no such kernel").c_str(), espalier::Error);
  CHECK_THROWS_WITH_AS(use("recipe"), (kWhere + "too many classes").c_str(), espalier::RecipeError);
  CHECK_THROWS_WITH_AS(use("internal"), (kWhere + "cannot happen").c_str(), espalier::InternalError);
  CHECK_THROWS_WITH_AS(use("standard"), (kWhere + "no such table").c_str(), espalier::Error);
  CHECK_THROWS_WITH_AS(use("number"), (kWhere + "threw something that is no std::exception").c_str(), espalier::Error);
}

TEST_CASE("an exception of LibTorch comes without its page of frames") {
  CHECK_THROWS_WITH_AS(use("torch"),
                       (kWhere + "Dimension out of range (expected to be in range of [-1, 0], but got 5)").c_str(),
                       espalier::Error);
}

TEST_CASE("a constructor that throws is named too") {
  CHECK_THROWS_WITH_AS(throwing("standard", true), (kWhere + "no such table").c_str(), espalier::Error);
}
