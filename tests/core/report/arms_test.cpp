// SPDX-License-Identifier: Apache-2.0
#include "core/report/arms.hpp"

#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "tests/core/base/scratch.hpp"

using espalier::common_name;
using espalier::name_arms;
using espalier::RunRef;
using espalier::Scratch;

namespace {

// A run directory with no more than its resolved recipe.
RunRef make_run(const Scratch& scratch, const std::string& name, int seed, const std::string& rest) {
  const espalier::fs::path folder = scratch / name;
  espalier::fs::create_directories(folder);
  espalier::write_text(folder / "recipe.lock.toml",
                       "schema = 1\nname = \"" + name + "\"\nseed = " + std::to_string(seed) + "\noutput = \"runs/" +
                           name + "\"\n\n[teacher]\npath = \"runs/teacher\"\n" + rest + "\n[lock]\nscore = \"" + name +
                           "\"\nexport = \"" + name + "\"\n\"data train\" = \"d\"\n");
  return espalier::run_ref(folder);
}

const char* kWidth = "[[prune]]\naxis = \"hidden\"\nkeep = 24\n[distill]\nsteps = 4\n";
const char* kNarrow = "[[prune]]\naxis = \"hidden\"\nkeep = 16\n[distill]\nsteps = 4\n";

}  // namespace

TEST_CASE("runs that differ in seed, name, output and what follows from them are one arm") {
  const Scratch scratch;
  std::vector<RunRef> runs = {make_run(scratch, "width-seed1", 1, kWidth),
                              make_run(scratch, "narrow-seed1", 1, kNarrow),
                              make_run(scratch, "width-seed2", 2, kWidth)};
  CHECK(runs[0].seed == 1);
  CHECK(runs[0].teacher == "teacher");
  name_arms(runs);
  CHECK(runs[0].arm == "width");
  CHECK(runs[2].arm == "width");
  CHECK(runs[1].arm == "narrow-seed1");  // alone it keeps its name
}

TEST_CASE("the same recipe with the same seed, or the same folder, is refused") {
  const Scratch scratch;
  std::vector<RunRef> twice = {make_run(scratch, "a", 1, kWidth), make_run(scratch, "b", 1, kWidth)};
  const std::string a = (scratch / "a").string(), b = (scratch / "b").string();
  CHECK_THROWS_WITH_AS(
      name_arms(twice),
      (a + " and " + b + ": the same recipe with the same seed 1; expected seeds that differ, or each run once")
          .c_str(),
      espalier::RecipeError);
  std::vector<RunRef> same = {twice[0], twice[0]};
  CHECK_THROWS_WITH_AS(name_arms(same), (a + ": given twice; expected each run once").c_str(), espalier::RecipeError);
}

TEST_CASE("an arm is named after what the names of its runs have in common") {
  CHECK(common_name({"width-seed1"}) == "width-seed1");
  CHECK(common_name({"width-seed1", "width-seed2"}) == "width");
  CHECK(common_name({"width-seed11", "width-seed12"}) == "width");
  CHECK(common_name({"width_1", "width_2", "width_3"}) == "width");
  CHECK(common_name({"heads-s1", "heads-s2"}) == "heads");
  CHECK(common_name({"heads1", "heads2"}) == "heads");  // "heads" ends with s, but not as a word
  CHECK(common_name({"a", "b"}) == "a");
}

TEST_CASE("what differs between arms is named by its place in the recipe") {
  const Scratch scratch;
  const RunRef width = make_run(scratch, "width", 1, kWidth), narrow = make_run(scratch, "narrow", 1, kNarrow);
  const RunRef depth = make_run(scratch, "depth", 1, "[[prune]]\naxis = \"layers\"\nkeep = 3\n[distill]\nsteps = 8\n");
  const auto w = espalier::read_run_recipe(width.folder), n = espalier::read_run_recipe(narrow.folder),
             d = espalier::read_run_recipe(depth.folder);
  const auto one = espalier::recipe_differences({{"width", &*w}, {"narrow", &*n}});
  REQUIRE(one.size() == 1);
  CHECK(one[0] == nlohmann::json{{"key", "prune.0.keep"}, {"values", {{"width", "24"}, {"narrow", "16"}}}});
  const auto two = espalier::recipe_differences({{"width", &*w}, {"depth", &*d}});
  REQUIRE(two.size() == 2);
  CHECK(two[0]["key"] == "prune");
  CHECK(two[0]["values"]["depth"] == "[{ axis = \"layers\", keep = 3 }]");
  CHECK(two[1]["key"] == "distill.steps");
}
