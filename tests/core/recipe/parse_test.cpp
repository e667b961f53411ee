// SPDX-License-Identifier: Apache-2.0
#include "support.hpp"

using espalier::Recipe;
using espalier_test::kTeacher;
using espalier_test::parse;

namespace {

constexpr const char* kWhole = R"(schema = 1
name   = "nemo"
seed   = 7
output = "out/nemo"
plugins = ["build/libmine.so", "other"]

[teacher]
path = "models/nemo"

[data]
train = [ { path = "data/a", weight = 2, name = "a" }, { path = "data/b", weight = 0.5 } ]
valid = "data/valid"
calibration = ["c1", "c2"]
tokenizer = "bytes"
seq_length = 64
token_type = "uint16"
deduplicate = true

[correct]
steps = 3

[score]
samples = 16
micro_batch = 4

[[prune]]
axis = "hidden"
keep = 96
granularity = 32
metric = { name = "activation", seq = "mean", batch = "l2" }

[[prune]]
axis = "ffn"
ratio = 0.5
metric = { name = "magnitude" }

[distill]
tokens = 1e6
global_batch = 8
micro_batch = 2
losses = [ { name = "kl", weight = 0.75, temperature = 2 }, { name = "cross_entropy" } ]
balance = "dynamic"
scheduler = { name = "constant", value = 1e-3 }
optimizer = { beta2 = 0.99 }
clip_grad = 0
save_every = 10
keep_last = 3
eval_every = 5
eval_windows = 6
log_every = 1
init = "random"
teacher = "models/large"

[eval]
windows = 12
seq_length = 32
shots = 5
tasks = ["tasks/winogrande.jsonl.gz", { path = "tasks/b.jsonl", name = "hellaswag", shots = 10 }]

[export]
dtype = "bfloat16"
shard_size = "1GB"

[lock]
teacher = "abc"
"plugin losses" = "def"
)";

}  // namespace

TEST_CASE("every table of a recipe is read") {
  const Recipe recipe = parse(kWhole);
  CHECK(recipe.name == "nemo");
  CHECK(recipe.seed == 7);
  CHECK(recipe.output == "out/nemo");
  CHECK(recipe.plugins == std::vector<espalier::fs::path>{"build/libmine.so", "other"});
  CHECK(recipe.teacher.path == "models/nemo");
  CHECK(!recipe.teacher.spec);
  REQUIRE(recipe.data.train.size() == 2);
  CHECK(recipe.data.train[0].path == "data/a");
  CHECK(recipe.data.train[0].name == "a");
  CHECK(recipe.data.train[0].weight == 2.0);
  CHECK(recipe.data.train[1].weight == 0.5);
  CHECK(recipe.data.valid.at(0).path == "data/valid");
  CHECK(recipe.data.calibration.size() == 2);
  CHECK(recipe.data.seq_length == 64);
  CHECK(recipe.data.token_type == "uint16");
  CHECK(recipe.data.deduplicate);
  CHECK(recipe.score.samples == 16);
  CHECK(recipe.score.seq_length == 64);
  CHECK(recipe.score.micro_batch == 4);
  CHECK(recipe.eval.windows == 12);
  CHECK(recipe.eval.seq_length == 32);
  REQUIRE(recipe.eval.tasks.size() == 2);
  CHECK(recipe.eval.tasks[0].path == "tasks/winogrande.jsonl.gz");
  CHECK(recipe.eval.tasks[0].name == "winogrande");
  CHECK(recipe.eval.tasks[0].shots == 5);
  CHECK(recipe.eval.tasks[1].path == "tasks/b.jsonl");
  CHECK(recipe.eval.tasks[1].name == "hellaswag");
  CHECK(recipe.eval.tasks[1].shots == 10);
  CHECK(recipe.export_block.dtype == "bfloat16");
  CHECK(recipe.export_block.shard_bytes == 1'000'000'000);
  CHECK(recipe.locked.at("plugin losses") == "def");
  CHECK(recipe.text == kWhole);
}

TEST_CASE("a prune block divides its keys between host, axis and metric, and keeps their places") {
  const Recipe recipe = parse(kWhole);
  REQUIRE(recipe.prune.size() == 2);
  const espalier::PruneBlock& block = recipe.prune[0];
  CHECK(block.keep == 96);
  CHECK(!block.ratio);
  CHECK(block.keep_where.line == 28);
  CHECK(block.axis->kind == "axis");
  CHECK(block.axis->name == "hidden");
  CHECK(block.axis->where.line == 27);
  CHECK(block.axis->where.column == 8);
  CHECK(block.axis->options.size() == 1);
  CHECK(std::get<std::int64_t>(block.axis->find("granularity")->data) == 32);
  CHECK(block.metric->kind == "metric");
  CHECK(block.metric->table == "prune");
  CHECK(block.metric->options.size() == 2);
  CHECK(block.metric->options.at("batch").where.column == 55);
  CHECK(recipe.prune[1].ratio == 0.5);
  CHECK(recipe.prune[1].axis->options.empty());
}

TEST_CASE("a training block is read with its components") {
  const Recipe recipe = parse(kWhole);
  REQUIRE(recipe.distill);
  const espalier::TrainBlock& train = *recipe.distill;
  CHECK(train.tokens == 1'000'000);
  CHECK(!train.steps);
  CHECK(train.tokens_per_step() == 8 * 64);
  CHECK(train.total_steps() == 1954);  // 1e6 / 512 = 1953.1
  REQUIRE(train.losses.size() == 2);
  CHECK(train.losses[0].weight == 0.75);
  CHECK(train.losses[0].loss->options.size() == 1);
  CHECK(train.losses[1].weight == 1.0);
  CHECK(train.scheduler->name == "constant");
  CHECK(train.optimizer.beta1 == 0.9);
  CHECK(train.optimizer.beta2 == 0.99);
  CHECK(train.clip_grad == 0.0);
  CHECK(train.keep_last == 3);
  CHECK(train.eval_windows == 6);
  CHECK(train.init == "random");
  CHECK(train.balance == "dynamic");
  CHECK(train.balance_where.line == 42);
  CHECK(train.teacher == "models/large");
  CHECK(train.teacher_where.line == 52);
  CHECK(recipe.has_distill_teacher());
}

TEST_CASE("everything but the teacher has a default") {
  const Recipe recipe = parse(kTeacher);
  CHECK(recipe.name == "r");
  CHECK(recipe.output == "runs/r");
  CHECK(recipe.seed == 1234);
  CHECK(recipe.data.seq_length == 1024);
  CHECK(recipe.score.samples == 1024);
  CHECK(recipe.score.seq_length == 1024);
  CHECK(recipe.score.micro_batch == 1);
  CHECK(recipe.prune.empty());
  CHECK(!recipe.correct);
  CHECK(!recipe.distill);
  CHECK(recipe.eval.windows == 0);
  CHECK(recipe.eval.shots == 0);
  CHECK(recipe.eval.tasks.empty());
  CHECK(recipe.export_block.dtype.empty());
  CHECK(recipe.export_block.shard_bytes == 5'000'000'000);
}

TEST_CASE("training has default components, one table of them") {
  const Recipe recipe = parse(kTeacher + "[correct]\nsteps = 1\n[distill]\nsteps = 2\n");
  CHECK(recipe.correct->losses.at(0).loss->name == "cross_entropy");
  CHECK(recipe.distill->losses.at(0).loss->name == "kl");
  CHECK(recipe.distill->scheduler->name == "cosine");
  CHECK(std::get<double>(recipe.distill->scheduler->find("peak")->data) == 1e-4);
  CHECK(recipe.distill->init == "pruned");
  CHECK(recipe.correct->init.empty());
  CHECK(recipe.distill->balance == "fixed");
  CHECK(recipe.correct->balance == "fixed");
  CHECK(recipe.distill->teacher.empty());
  CHECK_FALSE(recipe.has_distill_teacher());
  CHECK(recipe.correct->prune_from == "corrected");
  CHECK_FALSE(recipe.prunes_original());
  CHECK(recipe.distill->total_steps() == 2);
  CHECK(recipe.distill->seq_length == 1024);
}

TEST_CASE("a teacher that has weights is corrected at a fifth of the rate, after 120 steps of warm-up") {
  const auto scheduler = [](const std::string& teacher) {
    return parse(teacher + "[correct]\nsteps = 1\n").correct->scheduler;
  };
  const auto correction = scheduler(kTeacher);
  CHECK(std::get<double>(correction->find("peak")->data) == 1e-4 / 5);
  CHECK(std::get<std::int64_t>(correction->find("warmup_steps")->data) == 120);
  const auto first = scheduler(
      "[teacher]\nspec = { family = \"llama\", layers = 1, hidden = 8, heads = 1, head_dim = 8, ffn = 8, vocab = 9 "
      "}\n");
  CHECK(std::get<double>(first->find("peak")->data) == 1e-4);
  CHECK(first->find("warmup_steps") == nullptr);
}

TEST_CASE("a file that is not there is the environment's fault") {
  espalier::Diagnostics diagnostics;
  CHECK_THROWS_AS(espalier::parse_recipe("/nowhere/r.toml", {}, diagnostics), espalier::Error);
}

TEST_CASE("a name without .toml is kept whole") {
  const espalier_test::RecipeFolder folder;
  espalier::Diagnostics diagnostics;
  CHECK(espalier::parse_recipe(folder.write("a.width.toml", kTeacher), {}, diagnostics).name == "a.width");
  CHECK(espalier::parse_recipe(folder.write("a.width", kTeacher), {}, diagnostics).name == "a.width");
}
