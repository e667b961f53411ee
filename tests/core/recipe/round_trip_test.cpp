// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "core/recipe/sweep_recipe.hpp"
#include "support.hpp"

using espalier::ComponentBlock;
using espalier::FieldInfo;
using espalier::Recipe;
using espalier::Value;
using espalier_test::kTeacher;
using espalier_test::parse;

namespace {

// Every component of these tests has one option more than the recipe gives.
std::vector<FieldInfo> fields(const ComponentBlock& block) {
  std::vector<FieldInfo> list = {{"depth", "integer", Value{std::int64_t{3}}, {}, ""}};
  if (block.name == "kl") list.push_back({"temperature", "real", Value{1.0}, {}, ""});
  return list;
}

void check_round_trip(const Recipe& recipe) {
  const std::string written = espalier::to_toml(recipe, fields);
  CAPTURE(written);
  const Recipe again = parse(written);
  CHECK(espalier::to_toml(again, fields) == written);
  CHECK(again.name == recipe.name);
  CHECK(again.output == recipe.output);
  CHECK(again.teacher.spec == recipe.teacher.spec);
  CHECK(again.prune.size() == recipe.prune.size());
  CHECK(again.distill.has_value() == recipe.distill.has_value());
  CHECK(again.correct.has_value() == recipe.correct.has_value());
  if (recipe.distill) {
    CHECK(again.distill->total_steps() == recipe.distill->total_steps());
    CHECK(again.distill->balance == recipe.distill->balance);
    CHECK(again.distill->teacher == recipe.distill->teacher);
  }
  if (recipe.correct) CHECK(again.correct->prune_from == recipe.correct->prune_from);
}

}  // namespace

TEST_CASE("the resolved recipe is written in the order of the schema") {
  const Recipe recipe = parse(kTeacher + R"([data]
train = ["a", "b"]
[[prune]]
axis = "ffn"
ratio = 0.5
metric = { name = "activation", seq = "l2" }
[distill]
tokens = 2e6
[lock]
"plugin losses" = "ab12"
)");
  CHECK(espalier::to_toml(recipe, fields) == R"(schema = 1
name = "r"
seed = 1234
output = "runs/r"
plugins = []

[teacher]
path = "t"

[data]
train = [{ path = "a" }, { path = "b" }]
valid_fraction = 0.0
tokenizer = ""
token_type = ""
seq_length = 1024
deduplicate = false

[score]
samples = 1024
seq_length = 1024
micro_batch = 1
rounds = 1

[[prune]]
axis = "ffn"
ratio = 0.5
metric = { name = "activation", depth = 3, seq = "l2" }
depth = 3

[distill]
tokens = 2000000
global_batch = 32
micro_batch = 1
recompute = "none"
cuda_graph = false
losses = [{ name = "kl", weight = 1.0, depth = 3, temperature = 1.0 }]
balance = "fixed"
scheduler = { name = "cosine", depth = 3, min = 1e-05, peak = 0.0001 }
optimizer = { beta1 = 0.9, beta2 = 0.95, eps = 1e-08, weight_decay = 0.1, moments = "float32", gradients = "float32" }
clip_grad = 1.0
save_every = 500
keep_last = 2
eval_every = 100
eval_windows = 64
log_every = 10
init = "pruned"

[eval]
windows = 0
seq_length = 1024
shots = 0
tasks = []

[export]
dtype = ""
shard_size = 5000000000

[lock]
"plugin losses" = "ab12"
)");
  check_round_trip(recipe);
}

TEST_CASE("what is written reads back as the same recipe") {
  for (const char* text : {
           "[teacher]\npath = \"a \\\"b\\\" \\\\ \\u0001 é\"\n",
           "[teacher]\nspec = { family = \"nemotron\", layers = 2, hidden = 24, heads = 4, head_dim = 8, ffn = 40, "
           "vocab "
           "= 9, tied = true, rope_theta = 1e6 }\n[correct]\ntokens = 5000\n",
           "plugins = [\"x\", \"y z\"]\n[teacher]\npath = \"t\"\n[data]\ntrain = [{ path = \"a\", weight = 0.1, name = "
           "\"n\" }]\nvalid = \"v\"\ncalibration = \"c\"\n[export]\nshard_size = \"3MiB\"\ndtype = \"float16\"\n",
           "[teacher]\npath = \"t\"\n[eval]\nshots = 3\ntasks = [\"a b.jsonl\", { path = \"c.jsonl\", shots = 0 }]\n",
           "[teacher]\npath = \"t\"\n[distill]\nsteps = 7\nlosses = [{ name = \"kl\", weight = 0.25, \"odd key\" = [1, "
           "2.5, \"x\"] }]\ninit = \"random\"\nbalance = \"dynamic\"\nteacher = \"a \\\\ b\"\n",
           "[teacher]\npath = \"t\"\n[correct]\nsteps = 7\nprune_from = \"original\"\n[[prune]]\naxis = \"ffn\"\n"
           "keep = 8\nmetric = { name = \"random\" }\n[distill]\nsteps = 1\n",
       }) {
    CAPTURE(text);
    check_round_trip(parse(text));
  }
}

TEST_CASE("every recipe of the repository reads, and reads back as the same") {
  std::vector<espalier::fs::path> files;
  for (const auto& entry : espalier::fs::recursive_directory_iterator(ESPALIER_SOURCE_DIR "/recipes")) {
    if (entry.path().extension() == ".toml") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  CHECK(files.size() >= 3);
  for (const auto& file : files) {
    CAPTURE(file.string());
    espalier::Diagnostics diagnostics;
    std::vector<Recipe> recipes;
    if (espalier::read_text(file).find("\n[sweep]\n") == std::string::npos) {
      recipes.push_back(espalier::parse_recipe(file, {}, diagnostics));
    } else {
      for (espalier::ArmRecipe& arm : espalier::parse_sweep(file, {}, diagnostics).arms)
        recipes.push_back(std::move(arm.recipe));
    }
    REQUIRE_MESSAGE(diagnostics.empty(), diagnostics.text());
    for (const Recipe& recipe : recipes) check_round_trip(recipe);
  }
}

TEST_CASE("without field lists the components keep what the recipe gives") {
  const Recipe recipe = parse(kTeacher + "[distill]\nsteps = 1\nscheduler = { name = \"s\", x = 1 }\n");
  const std::string written = espalier::to_toml(recipe, {});
  CHECK(written.find("scheduler = { name = \"s\", x = 1 }\n") != std::string::npos);
}
