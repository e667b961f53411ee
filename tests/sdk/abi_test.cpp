// SPDX-License-Identifier: Apache-2.0
// A plugin built with one set of these numbers cannot be loaded by a host built with another. Whoever changes a number
// here raises ESPALIER_ABI in the same change (and the number in the first test).
#include <ATen/core/Tensor.h>
#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <string>

#include "espalier/sdk/sdk.hpp"

namespace {

// The place of a virtual function in its class's table (Itanium C++ ABI: 1 + offset in bytes).
template <class Method>
std::ptrdiff_t slot(Method method) {
  std::array<std::ptrdiff_t, 2> words{};
  static_assert(sizeof words == sizeof method);
  std::memcpy(words.data(), &method, sizeof words);
  return (words[0] - 1) / static_cast<std::ptrdiff_t>(sizeof(void*));
}

}  // namespace

TEST_CASE("the numbers below belong to ABI 2") { CHECK(espalier::kAbi == 2); }

TEST_CASE("the descriptor's first fields never move") {
  CHECK(offsetof(espalier::PluginDescriptor, magic) == 0);
  CHECK(offsetof(espalier::PluginDescriptor, size) == 4);
  CHECK(offsetof(espalier::PluginDescriptor, abi) == 8);
  CHECK(offsetof(espalier::PluginDescriptor, stamp) == 16);
  CHECK(sizeof(espalier::PluginDescriptor) == 48);
}

TEST_CASE("the stamp names everything that must agree") {
  CHECK(std::string(ESPALIER_STAMP) ==
        "espalier:abi=2:torch=2.11.0:cc=gcc" + std::to_string(__GNUC__) + ":cxx11abi=1:cuda=none");
}

TEST_CASE("the structs that cross the border have the sizes of ABI 2") {
  CHECK(sizeof(espalier::Value) == 40);
  CHECK(sizeof(espalier::Limits) == 64);
  CHECK(sizeof(espalier::FieldInfo) == 200);
  CHECK(sizeof(espalier::LayerSpec) == 48);
  CHECK(sizeof(espalier::Rope) == 80);
  CHECK(sizeof(espalier::ModelSpec) == 200);
  CHECK(sizeof(espalier::AxisInfo) == 184);
  CHECK(sizeof(espalier::Needs) == 64);
  CHECK(sizeof(espalier::Site) == 72);
  CHECK(sizeof(espalier::Observation) == 88);
  CHECK(sizeof(espalier::TaskNeeds) == 48);
  CHECK(sizeof(espalier::Fold) == 72);
  CHECK(sizeof(espalier::LogitRows) == 24);
  CHECK(sizeof(espalier::Feature) == 16);
  CHECK(sizeof(espalier::FeaturePlan) == 48);
  CHECK(sizeof(espalier::FeatureRows) == 32);
  CHECK(sizeof(espalier::Progress) == 32);
}

TEST_CASE("the virtual functions stand in the order of ABI 2, after the two destructors") {
  using espalier::ImportanceMetric;
  using espalier::PruningAxis;
  CHECK(slot(&ImportanceMetric::needs) == 2);
  CHECK(slot(&ImportanceMetric::begin) == 3);
  CHECK(slot(&ImportanceMetric::observe) == 4);
  CHECK(slot(&ImportanceMetric::scores) == 5);
  CHECK(slot(&ImportanceMetric::state) == 6);
  CHECK(slot(&ImportanceMetric::restore) == 7);
  CHECK(slot(&ImportanceMetric::merge) == 8);
  CHECK(slot(&PruningAxis::describe) == 2);
  CHECK(slot(&PruningAxis::extent) == 3);
  CHECK(slot(&PruningAxis::step) == 4);
  CHECK(slot(&PruningAxis::select) == 5);
  CHECK(slot(&PruningAxis::shrink) == 6);
  CHECK(slot(&PruningAxis::folds) == 7);
  CHECK(slot(&espalier::LogitLoss::needs_teacher) == 2);
  CHECK(slot(&espalier::LogitLoss::forward) == 3);
  CHECK(slot(&espalier::LogitLoss::gradient) == 4);
  CHECK(slot(&espalier::FeatureLoss::plan) == 2);
  CHECK(slot(&espalier::FeatureLoss::forward) == 3);
  CHECK(slot(&espalier::Scheduler::at) == 2);
  CHECK(slot(&espalier::Host::seed) == 2);
  CHECK(slot(&espalier::Host::info) == 3);
  CHECK(slot(&espalier::Host::warn) == 4);
  CHECK(slot(&espalier::OptionSource::find) == 2);
  CHECK(slot(&espalier::OptionSource::problem) == 3);
}
