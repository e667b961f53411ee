// SPDX-License-Identifier: Apache-2.0
#include "support.hpp"

using espalier::Recipe;
using espalier_test::kTeacher;
using espalier_test::parse;
using espalier_test::problems;

namespace {

const std::string kBody = kTeacher + R"([data]
train = "a"
[[prune]]
axis = "ffn"
ratio = 0.5
metric = { name = "activation" }
[distill]
tokens = 1000
)";

}  // namespace

TEST_CASE("--set reaches tables, lists, components and tables that are not there") {
  const Recipe recipe =
      parse(kBody, {"prune.0.keep=96", "prune.0.metric.seq=l2", "distill.steps=5", "distill.losses.0.temperature=2.5",
                    "distill.scheduler.peak=1e-3", "score.samples = 3", "seed=9", "name=other", "eval.seq_length=16"});
  CHECK(recipe.prune[0].keep == 96);
  CHECK(!recipe.prune[0].ratio);
  CHECK(std::get<std::string>(recipe.prune[0].metric->find("seq")->data) == "l2");
  CHECK(recipe.distill->steps == 5);
  CHECK(!recipe.distill->tokens);
  CHECK(recipe.distill->losses[0].loss->name == "kl");
  CHECK(std::get<double>(recipe.distill->losses[0].loss->find("temperature")->data) == 2.5);
  CHECK(std::get<double>(recipe.distill->scheduler->find("peak")->data) == 1e-3);
  CHECK(recipe.score.samples == 3);
  CHECK(recipe.seed == 9);
  CHECK(recipe.output == "runs/other");
  CHECK(recipe.eval.seq_length == 16);
}

TEST_CASE("--set reaches the default components of a table that it makes itself") {
  const Recipe recipe = parse(kTeacher, {"distill.losses.0.temperature=2", "distill.steps=5"});
  CHECK(recipe.distill->losses.at(0).loss->name == "kl");
  CHECK(recipe.distill->losses[0].loss->options.size() == 1);
}

TEST_CASE("the value of a --set is TOML, else a bare string") {
  CHECK(parse(kBody, {"data.train=[\"x\", \"y\"]"}).data.train.size() == 2);
  CHECK(parse(kBody, {"data.train=x y.bin"}).data.train[0].path == "x y.bin");
  CHECK(parse(kBody, {"data.train='quoted'"}).data.train[0].path == "quoted");
  CHECK(parse(kBody, {"output=a=b"}).output == "a=b");
  CHECK(parse(kBody, {"name=\"12\""}).name == "12");
  CHECK(parse(kBody, {"output=1\nseed = 2"}).seed == 1234);
  CHECK(parse(kBody, {"data={ train = \"z\" }"}).data.train[0].path == "z");
}

TEST_CASE("a wrong --set is told by its own text") {
  CHECK(problems(kBody, {"distill.stepz=5"}) ==
        "--set distill.stepz=5: error: [distill] unknown key; got 'stepz'; expected tokens, steps, global_batch, "
        "micro_batch, recompute, cuda_graph, losses, balance, scheduler, optimizer, clip_grad, save_every, keep_last, "
        "eval_every, "
        "eval_windows, log_every, init, teacher or teacher_config; did you mean 'steps'?\n1 error");
  CHECK(problems(kBody, {"prune.2.keep=5"}) ==
        "--set prune.2.keep=5: error: [prune] no such list element; got '2'; expected 0: the list has one element\n1 "
        "error");
  CHECK(
      problems(kBody, {"prune.x=5", "seed.deep=1", "distill.clip_grad=-1"}) ==
      "--set distill.clip_grad=-1: error: [distill] clip_grad is out of range; got -1; expected a real of at least 0\n"
      "--set prune.x=5: error: [prune] no such list element; got 'x'; expected 0: the list has one element\n"
      "--set seed.deep=1: error: seed has the wrong type; got a table; expected an integer of at least 0\n3 errors");
  CHECK(problems(kBody, {"data.train.path=1"}) ==
        "--set data.train.path=1: error: [data] data.train has no keys; got \"a\"; expected a table\n1 error");
}

TEST_CASE("what is not key=value is no override") {
  for (const char* bad : {"distill.steps", "=5", "a..b=5", ".a=5", "a.=5", ""}) {
    CHECK(problems(kBody, {bad}) == "--set " + std::string(bad) + ": error: is not an override; got '" + bad +
                                        "'; expected key.sub=value\n1 error");
  }
}

TEST_CASE("the base cannot be changed by --set") {
  CHECK(
      problems(kBody, {"extends=b.toml"}) ==
      "--set extends=b.toml: error: extends is read before any --set; expected extends in the recipe itself\n1 error");
}

TEST_CASE("two --set that exclude each other are both told of") {
  CHECK(problems(kBody, {"distill.steps=5", "distill.tokens=10"}) ==
        "--set distill.steps=5: error: [distill] steps and tokens exclude each other; expected one of them\n1 error");
}
