// SPDX-License-Identifier: Apache-2.0
#include "support.hpp"

using espalier::Diagnostics;
using espalier::parse_recipe;
using espalier::Recipe;
using espalier_test::RecipeFolder;

namespace {

constexpr const char* kBaseFile = R"(name = "base"
output = "runs/elsewhere"
seed = 5
[teacher]
path = "t"
[data]
seq_length = 64
valid_fraction = 0.1
[[prune]]
axis = "ffn"
keep = 8
metric = { name = "activation", seq = "l2" }
[distill]
tokens = 1000
clip_grad = 2.0
scheduler = { name = "cosine", peak = 1e-3, warmup_steps = 4 }
)";

}  // namespace

TEST_CASE("a recipe replaces its base key by key, and values whole") {
  const RecipeFolder folder;
  folder.write("base.toml", kBaseFile);
  const auto file = folder.write("child.toml", R"(extends = "base.toml"
[data]
valid = "v"
[[prune]]
axis = "hidden"
ratio = 0.5
metric = { name = "magnitude" }
[distill]
steps = 3
scheduler = { name = "constant" }
)");
  Diagnostics diagnostics;
  const Recipe recipe = parse_recipe(file, {}, diagnostics);
  CHECK_MESSAGE(diagnostics.empty(), diagnostics.text());
  CHECK(recipe.name == "child");
  CHECK(recipe.output == "runs/child");
  CHECK(recipe.seed == 5);
  CHECK(recipe.teacher.path == "t");
  CHECK(recipe.data.seq_length == 64);
  CHECK(recipe.data.valid_fraction == 0.0);
  REQUIRE(recipe.prune.size() == 1);
  CHECK(recipe.prune[0].axis->name == "hidden");
  CHECK(recipe.prune[0].metric->options.empty());
  CHECK(recipe.distill->steps == 3);
  CHECK(!recipe.distill->tokens);
  CHECK(recipe.distill->clip_grad == 2.0);
  CHECK(recipe.distill->scheduler->name == "constant");
  CHECK(recipe.distill->scheduler->options.empty());
}

TEST_CASE("problems name the file that they are in") {
  const RecipeFolder folder;
  folder.write("base.toml", "[teacher]\npath = 1\n");
  Diagnostics diagnostics;
  parse_recipe(folder.write("r.toml", "extends = \"base.toml\"\n[score]\nsamples = 0\n"), {}, diagnostics);
  CHECK(folder.plain(diagnostics.text()) ==
        "base.toml:2:8: error: [teacher] path has the wrong type; got 1; expected a string\n"
        "r.toml:3:11: error: [score] samples is out of range; got 0; expected an integer of at least 1\n2 errors");
}

TEST_CASE("one level is all") {
  const RecipeFolder folder;
  folder.write("base.toml", "extends = \"older.toml\"\n[teacher]\npath = \"t\"\n");
  Diagnostics diagnostics;
  parse_recipe(folder.write("r.toml", "extends = \"base.toml\"\n"), {}, diagnostics);
  CHECK(folder.plain(diagnostics.text()) ==
        "base.toml:1:1: error: a base recipe extends another one; got \"older.toml\"; expected no extends here: r.toml "
        "extends this file, and one level is all\n1 error");
}

TEST_CASE("a base that is absent or damaged is told at extends, or in the base") {
  const RecipeFolder folder;
  Diagnostics absent;
  parse_recipe(folder.write("r.toml", "extends = \"no.toml\"\n"), {}, absent);
  CHECK(absent.size() == 1);
  CHECK(folder.plain(absent.text())
            .starts_with("r.toml:1:11: error: extends names a file that cannot be read: no.toml: "));
  folder.write("base.toml", "= 3\n");
  Diagnostics damaged;
  parse_recipe(folder.write("r.toml", "extends = \"base.toml\"\n"), {}, damaged);
  CHECK(damaged.size() == 1);
  CHECK(folder.plain(damaged.text()).starts_with("base.toml:1:1: error: is not TOML: "));
}
