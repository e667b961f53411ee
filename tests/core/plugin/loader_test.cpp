// SPDX-License-Identifier: Apache-2.0
#include "core/plugin/loader.hpp"

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>

#include <string>

#include "support.hpp"

using espalier::load_plugin;
using espalier::Registry;
using espalier_test::fixture;
using espalier_test::Folder;

TEST_CASE("a plugin's components are registered under its name and version") {
  Registry registry;
  load_plugin(fixture("good"), registry);
  REQUIRE(registry.plugins().size() == 1);
  CHECK(registry.plugins()[0].name == "good");
  CHECK(registry.plugins()[0].version == "1.2.3");
  CHECK(registry.plugins()[0].path == fixture("good"));
  CHECK(registry.components().size() == 5);
}

TEST_CASE("a library that is reached twice is loaded once") {
  const Folder folder;
  Registry registry;
  load_plugin(fixture("good"), registry);
  load_plugin(fixture("good"), registry);
  load_plugin(ESPALIER_FIXTURES "/plugins/../plugins/libgood.so", registry);
  std::filesystem::create_symlink(fixture("good"), folder.path() / "libother.so");
  load_plugin(folder.path() / "libother.so", registry);
  CHECK(registry.plugins().size() == 1);
}

TEST_CASE("a plugin built for another host is refused before its code runs") {
  Registry registry;
  const std::string path = fixture("wrong_torch");
  CHECK_THROWS_WITH(
      load_plugin(path, registry),
      (path + ": was built for a different host\n"
              "         torch    got 2.10.0         expected 2.11.0\n"
              "  note: rebuild it with this program's SDK: cmake --build BUILD_FOLDER --target wrong_torch")
          .c_str());
  CHECK_THROWS_AS(load_plugin(fixture("wrong_abi"), registry), espalier::Error);
  CHECK(registry.plugins().empty());
}

TEST_CASE("a plugin of the previous minor version works while the ABI is the same") {
  Registry registry;
  load_plugin(fixture("older_minor"), registry);
  REQUIRE(registry.plugins().size() == 1);
  CHECK(registry.plugins()[0].version == OLDER_VERSION);  // of the SDK that it was built with
  CHECK(registry.plugins()[0].version != ESPALIER_VERSION);
  const espalier_test::TestHost host;
  const espalier::Component metric = espalier_test::block("metric", "older", "value", espalier::Value{2.5});
  const auto older = registry.metric(*metric, host);
  older->begin({.axis = "ffn", .units = 3});
  CHECK(at::equal(older->scores(), at::full({3}, 2.5f)));
  const espalier::Component loss = espalier_test::block("loss", "older");
  CHECK_THROWS_WITH_AS(registry.loss(*loss, host).on_logits->needs_teacher(),
                       ("in loss 'older' (plugin older_minor " OLDER_VERSION "): not in this version"),
                       espalier::Error);
}

TEST_CASE("a plugin without an entry, or with a wrong one, is refused") {
  Registry registry;
  CHECK_THROWS_WITH(load_plugin(fixture("no_entry"), registry),
                    (fixture("no_entry") + ": has no entry; expected the symbol espalier_plugin, which "
                                           "ESPALIER_PLUGIN(…) defines and exports")
                        .c_str());
  CHECK_THROWS_WITH(load_plugin(fixture("bad_descriptor"), registry),
                    (fixture("bad_descriptor") + ": the entry's size is wrong; got 12; expected 48").c_str());
  CHECK(registry.plugins().empty());
}

TEST_CASE("a missing symbol of LibTorch is told with its likely cause") {
  Registry registry;
  const std::string path = fixture("undefined_symbol");
  CHECK_THROWS_WITH(load_plugin(path, registry),
                    (path + ": cannot be loaded; got " + path +
                     ": undefined symbol: _ZN2at30an_operator_of_another_releaseEv\n"
                     "  note: probably built against another LibTorch (this program has 2.11.0)")
                        .c_str());
}

TEST_CASE("a plugin that throws while registering is named, and nothing of it stays") {
  Registry registry;
  const std::string path = fixture("throws_in_register");
  CHECK_THROWS_WITH_AS(
      load_plugin(path, registry),
      (path + ": plugin moody 0.2.0 failed to register its components: my table of kernels is empty").c_str(),
      espalier::Error);
  CHECK(registry.plugins().empty());
}

TEST_CASE("a duplicate name is refused, both plugins are named, and nothing of the second stays") {
  Registry registry;
  load_plugin(fixture("good"), registry);
  const std::string path = fixture("duplicate");
  CHECK_THROWS_WITH(load_plugin(path, registry),
                    (path +
                     ": plugin duplicate 0.1.0 failed to register its components: scheduler 'rising' is registered "
                     "twice; by plugin good 1.2.3 (" +
                     fixture("good") + ") and by plugin duplicate 0.1.0 (" + path + ")")
                        .c_str());
  CHECK(registry.plugins().size() == 1);
  CHECK(registry.components().size() == 5);
}
