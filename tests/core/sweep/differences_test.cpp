// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/differences.hpp"

#include <doctest/doctest.h>

#include "core/sweep/child.hpp"
#include "core/sweep/progress.hpp"
#include "tests/support/temporary_folder.hpp"

using espalier::Difference;
using espalier::differences;

namespace {

std::string text_of(const std::vector<Difference>& found) {
  std::string text;
  for (const Difference& difference : found) {
    text += difference.key + ":";
    for (const auto& [arm, value] : difference.values) text += " " + arm + "=" + (value.empty() ? "-" : value);
    text += "\n";
  }
  return text;
}

}  // namespace

TEST_CASE("arms differ key by key, and not in what names a run") {
  const std::string head = "schema = 1\nname = \"x\"\nseed = 1\noutput = \"o\"\n";
  CHECK(text_of(differences(
            {{"a", head + "[data]\nseq_length = 8\n[distill]\nsteps = 3\nscheduler = { name = \"s\", peak = 0.1 }\n"},
             {"b",
              "schema = 1\nname = \"y\"\nseed = 2\noutput = \"p\"\n[data]\nseq_length = 8\n[distill]\nsteps = 4\n"
              "scheduler = { name = \"s\", peak = 0.2 }\n"}})) ==
        "distill.steps: a=3 b=4\ndistill.scheduler.peak: a=0.1 b=0.2\n");
  CHECK(differences({{"a", head}, {"b", head}}).empty());
}

TEST_CASE("elements of a list are compared one by one where they are the same things") {
  const std::string one = "[[prune]]\naxis = \"ffn\"\nkeep = 4\n[[prune]]\naxis = \"hidden\"\nkeep = 2\n";
  const std::string two = "[[prune]]\naxis = \"ffn\"\nkeep = 4\n[[prune]]\naxis = \"hidden\"\nkeep = 3\n";
  const std::string other = "[[prune]]\naxis = \"layers\"\nkeep = 2\n";
  CHECK(text_of(differences({{"a", one}, {"b", two}})) == "prune.1.keep: a=2 b=3\n");
  CHECK(
      text_of(differences({{"a", two}, {"b", other}})) ==
      "prune: a=[{ axis = \"ffn\", keep = 4 }, { axis = \"hidden\", keep = 3 }] b=[{ axis = \"layers\", keep = 2 }]\n");
}

TEST_CASE("a table or key that an arm does not have is nothing") {
  CHECK(text_of(differences({{"a", "[distill]\nsteps = 1\n[eval]\nshots = 0\n"},
                             {"b", "[eval]\nshots = 0\n"},
                             {"c", "[distill]\ntokens = 9\n[eval]\nshots = 0\n"}})) ==
        "distill: a={ steps = 1 } b=- c={ tokens = 9 }\n");
  CHECK(text_of(differences({{"a", "[distill]\nsteps = 1\n"}, {"b", "[distill]\ntokens = 9\n"}})) ==
        "distill.steps: a=1 b=-\ndistill.tokens: a=- b=9\n");
}

TEST_CASE("the table for people cuts long values between characters") {
  std::string value;
  for (int i = 0; i < 60; ++i) value += "é";
  const std::string text = espalier::differences_text({{"k", {{"a", value}, {"b", ""}}}});
  CHECK(text.starts_with("k\n  a               " + value.substr(0, 90) + " …\n  b               none\n"));
}

TEST_CASE("the last error that a program tells of is its reason") {
  CHECK(espalier::last_error("r.toml:3:1: error: [x] is y\nr.toml:4:1: error: [x] is z\n2 errors\n") ==
        "r.toml:4:1: error: [x] is z");
  CHECK(espalier::last_error("score    done\nerror: no space left\n") == "no space left");
  CHECK(espalier::last_error("all is well\n").empty());
}

TEST_CASE("how far a training is stands in the last whole line of its log") {
  const espalier::test::TemporaryFolder folder;
  const auto path = folder / "metrics.jsonl";
  CHECK(espalier::last_step(path) == 0);
  espalier::write_text(path, "{\"step\": 1}\n{\"step\": 20}\n{\"step\": 3");
  CHECK(espalier::last_step(path) == 20);
  espalier::write_text(path, std::string(9000, ' ') + "\n{\"step\": 7}\n");
  CHECK(espalier::last_step(path) == 7);
}
