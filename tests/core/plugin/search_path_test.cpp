// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include "support.hpp"

using espalier::load_plugins;
using espalier::Registry;
using espalier_test::fixture;
using espalier_test::Folder;

namespace {

// An environment variable for the length of a test case.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    setenv(name, value.c_str(), 1);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() {
    if (old_) {
      setenv(name_, old_->c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

void copy(const std::string& name, const Folder& folder, const std::string& as) {
  std::filesystem::copy_file(fixture(name), folder.path() / as);
}

}  // namespace

TEST_CASE("the search path is the variable, the user's folder, then two beside the program") {
  const Variable path("ESPALIER_PLUGIN_PATH", "/a::/b");
  const Variable data("XDG_DATA_HOME", "/data");
  const auto folders = espalier::plugin_search_path();
  REQUIRE(folders.size() == 5);
  CHECK(folders[0] == "/a");
  CHECK(folders[1] == "/b");
  CHECK(folders[2] == "/data/espalier/plugins");
  CHECK(folders[3].filename() == "plugins");
  CHECK(folders[4].string().ends_with("/lib/espalier/plugins"));
}

TEST_CASE("without XDG_DATA_HOME the user's folder is in the home") {
  const Variable path("ESPALIER_PLUGIN_PATH", "");
  const Variable data("XDG_DATA_HOME", "");
  const Variable home("HOME", "/home/u");
  CHECK(espalier::plugin_search_path().at(0) == "/home/u/.local/share/espalier/plugins");
}

TEST_CASE("a folder's plugins are loaded; a broken one is left out, a stranger is not looked at") {
  const Folder folder;
  copy("good", folder, "libb.so");
  copy("wrong_torch", folder, "liba.so");
  folder.write("readme.so", "no plugin: its name does not begin with lib");
  const Variable path("ESPALIER_PLUGIN_PATH", folder.path().string());
  const Variable data("XDG_DATA_HOME", "/nowhere");
  Registry registry;
  load_plugins({}, registry);
  REQUIRE(registry.plugins().size() == 1);
  CHECK(registry.plugins()[0].path == folder.path() / "libb.so");
}

TEST_CASE("of two with one file name the first found wins, and a named one wins over both") {
  const Folder first, second, third;
  copy("good", first, "libgood.so");
  copy("good", second, "libgood.so");
  copy("good", third, "libgood.so");
  const Variable path("ESPALIER_PLUGIN_PATH", first.path().string() + ":" + second.path().string());
  const Variable data("XDG_DATA_HOME", "/nowhere");
  Registry scanned;
  load_plugins({}, scanned);
  REQUIRE(scanned.plugins().size() == 1);
  CHECK(scanned.plugins()[0].path == first.path() / "libgood.so");
  Registry named;
  load_plugins({third.path() / "libgood.so"}, named);
  REQUIRE(named.plugins().size() == 1);
  CHECK(named.plugins()[0].path == third.path() / "libgood.so");
}

TEST_CASE("a named plugin that fails is an error") {
  const Variable path("ESPALIER_PLUGIN_PATH", "");
  const Variable data("XDG_DATA_HOME", "/nowhere");
  Registry registry;
  CHECK_THROWS_AS(load_plugins({fixture("wrong_torch")}, registry), espalier::Error);
}

TEST_CASE("a bare name is looked for, and where is told when it is not found") {
  const Folder folder;
  copy("good", folder, "libgood.so");
  const Variable path("ESPALIER_PLUGIN_PATH", folder.path().string());
  const Variable data("XDG_DATA_HOME", "/nowhere");
  Registry registry;
  load_plugins({"good"}, registry);
  CHECK(registry.plugins().size() == 1);
  const auto folders = espalier::plugin_search_path();
  const std::string searched = "\n         " + folder.path().string() +
                               "\n         /nowhere/espalier/plugins\n         " + folders[2].string() + "\n         " +
                               folders[3].string();
  CHECK_THROWS_WITH(load_plugins({"mine"}, registry),
                    ("mine: no such plugin; expected libmine.so in one of" + searched).c_str());
  CHECK_THROWS_WITH(load_plugins({"build/libmine.so"}, registry),
                    ("build/libmine.so: no such plugin; got no file " +
                     (std::filesystem::current_path() / "build/libmine.so").string() +
                     "; expected a path to a library, or a bare name that is searched for")
                        .c_str());
}
