// SPDX-License-Identifier: Apache-2.0
#include "core/recipe/diagnostics.hpp"

#include <doctest/doctest.h>

using espalier::Diagnostics;

TEST_CASE("problems are sorted by place, notes follow, the count ends") {
  Diagnostics diagnostics;
  diagnostics.error({"b.toml", 10, 2}, "prune", "keep is out of range", "0", "an integer of at least 1");
  diagnostics.error({"b.toml", 9, 30}, "", "unknown key", "'x'", "");
  diagnostics.error({"a.toml", 99, 1}, "data", "is missing", "", "");
  diagnostics.error({"b.toml", 9, 4}, "eval", "is odd", "", "");
  diagnostics.note("loss 'kl' comes from plugin losses");
  diagnostics.note("loss 'kl' comes from plugin losses");
  CHECK(diagnostics.size() == 4);
  CHECK(diagnostics.text() ==
        "a.toml:99:1: error: [data] is missing\n"
        "b.toml:9:4: error: [eval] is odd\n"
        "b.toml:9:30: error: unknown key; got 'x'\n"
        "b.toml:10:2: error: [prune] keep is out of range; got 0; expected an integer of at least 1\n"
        "note: loss 'kl' comes from plugin losses\n"
        "4 errors");
}

TEST_CASE("without a problem nothing is thrown, with one it is the user's") {
  Diagnostics diagnostics;
  diagnostics.note("only a note");
  CHECK_NOTHROW(diagnostics.throw_if_any());
  diagnostics.error({"--set a=1", 0, 0}, "", "is an override", "", "");
  CHECK_THROWS_WITH_AS(diagnostics.throw_if_any(), "--set a=1: error: is an override\nnote: only a note\n1 error",
                       espalier::RecipeError);
}
