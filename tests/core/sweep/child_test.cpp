// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/child.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

using espalier::environment_with;

TEST_CASE("a child's environment has one variable changed or added") {
  ::setenv("ESPALIER_CHILD_TEST", "before", 1);
  ::unsetenv("ESPALIER_CHILD_TEST_NEW");
  const auto count = [](const std::vector<std::string>& all, const std::string& entry) {
    return std::count(all.begin(), all.end(), entry);
  };
  const std::vector<std::string> plain = environment_with("");
  CHECK(count(plain, "ESPALIER_CHILD_TEST=before") == 1);
  const std::vector<std::string> changed = environment_with("ESPALIER_CHILD_TEST=after=2");
  CHECK(changed.size() == plain.size());
  CHECK(count(changed, "ESPALIER_CHILD_TEST=after=2") == 1);
  CHECK(count(changed, "ESPALIER_CHILD_TEST=before") == 0);
  const std::vector<std::string> added = environment_with("ESPALIER_CHILD_TEST_NEW=1");
  CHECK(added.size() == plain.size() + 1);
  CHECK(count(added, "ESPALIER_CHILD_TEST=before") == 1);
  ::unsetenv("ESPALIER_CHILD_TEST");
}
