// SPDX-License-Identifier: Apache-2.0
// The part of the ABI that only plugins' generated code calls (tests/sdk has the rest): a changed number here asks for
// a new ESPALIER_ABI.
#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstring>

#include "espalier/sdk/plugin.hpp"

namespace {

// The place of a virtual function in its class's table (Itanium C++ ABI: 1 + offset in bytes).
template <class Method>
std::ptrdiff_t slot(Method method) {
  std::array<std::ptrdiff_t, 2> words{};
  static_assert(sizeof words == sizeof method);
  std::memcpy(words.data(), &method, sizeof words);
  return (words[0] - 1) / static_cast<std::ptrdiff_t>(sizeof(void*));
}

struct Probe : espalier::Registrar {
  static void check() {
    CHECK(slot(&Probe::add_metric) == 2);
    CHECK(slot(&Probe::add_axis) == 3);
    CHECK(slot(&Probe::add_logit_loss) == 4);
    CHECK(slot(&Probe::add_scheduler) == 5);
    CHECK(slot(&Probe::add_feature_loss) == 6);
  }
};

}  // namespace

TEST_CASE("registrar and factories have the virtual functions of ABI 2, in order") {
  REQUIRE(espalier::kAbi == 2);
  Probe::check();
  using LossFactory = espalier::Factory<espalier::LogitLoss>;
  CHECK(slot(&LossFactory::fields) == 2);
  CHECK(slot(&LossFactory::check) == 3);
  CHECK(slot(&LossFactory::create) == 4);
}

TEST_CASE("values keep the order of their alternatives") {
  CHECK(espalier::Value{true}.data.index() == 0);
  CHECK(espalier::Value{std::int64_t{1}}.data.index() == 1);
  CHECK(espalier::Value{1.0}.data.index() == 2);
  CHECK(espalier::Value{std::string("a")}.data.index() == 3);
  CHECK(espalier::Value{espalier::ValueList{}}.data.index() == 4);
}
