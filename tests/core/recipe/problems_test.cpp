// SPDX-License-Identifier: Apache-2.0
#include "support.hpp"

using espalier_test::kTeacher;
using espalier_test::problems;

TEST_CASE("a recipe with many mistakes is told all of them, in the order of the file") {
  const char* text = R"(schema = 2
name = "a/b"
sead = 3

[teacher]
path = "t"

[data]
seq_length = 0
train = []
token_type = "int8"

[score]
samples = "many"

[[prune]]
axis = "ffn"
keep = 96
ratio = 0.5
metric = "activation"

[distill]
tokens = 1.5
losses = [ { weight = 1.0 } ]
clip_grad = nan
)";
  CHECK(
      problems(text) ==
      "r.toml:1:10: error: schema is not one that this version reads; got 2; expected 1\n"
      "r.toml:2:8: error: name cannot name a folder; got \"a/b\"; expected a name without '/'\n"
      "r.toml:3:1: error: unknown key; got 'sead'; expected schema, name, extends, seed, output, plugins, teacher, "
      "data, correct, score, prune, search, distill, teacher_cache, eval, export, lock or sweep; did you mean 'seed'?\n"
      "r.toml:9:14: error: [data] seq_length is out of range; got 0; expected an integer of at least 2\n"
      "r.toml:10:9: error: [data] train has the wrong type; got []; expected a path, a list of paths or a list of { "
      "path = \"…\", weight = … }\n"
      "r.toml:11:14: error: [data] token_type is not a known choice; got \"int8\"; expected \"\", \"uint8\", "
      "\"uint16\" or \"int32\"\n"
      "r.toml:14:11: error: [score] samples has the wrong type; got \"many\"; expected an integer of at least 1\n"
      "r.toml:19:9: error: [prune] ratio and keep exclude each other; expected one of them\n"
      "r.toml:20:10: error: [prune] metric has the wrong type; got \"activation\"; expected metric = { name = \"…\", "
      "… }\n"
      "r.toml:23:10: error: [distill] tokens is not a whole number; got 1.5; expected a number of tokens of at least "
      "1\n"
      "r.toml:24:12: error: [distill] loss without a name; expected name = \"…\"\n"
      "r.toml:25:13: error: [distill] clip_grad is out of range; got nan; expected a real of at least 0\n"
      "12 errors");
}

TEST_CASE("a syntax error is told alone, with its place; columns count code points") {
  CHECK(problems("name = \"é\" \"\n").starts_with("r.toml:1:12: error: is not TOML: "));
  CHECK(problems("name = \"é\" \"\n").ends_with("\n1 error"));
  CHECK(problems("a = 1\na = 2\n").starts_with("r.toml:2:"));
  CHECK(problems(std::string("a\0b = 1", 7)).starts_with("r.toml:1:"));
  CHECK(problems("a = \"\xff\"").starts_with("r.toml:1:"));
}

TEST_CASE("a missing teacher, budget, target, axis or metric is told at its table") {
  CHECK(problems("seed = 1\n") == "r.toml: error: [teacher] is missing; expected a table [teacher]\n1 error");
  CHECK(problems("[teacher]\n") ==
        "r.toml:1:1: error: [teacher] has no model; expected path = \"…\", or spec = { family = \"llama\", layers = …, "
        "… } for random weights\n1 error");
  CHECK(problems("teacher = 3\n") ==
        "r.toml:1:11: error: teacher has the wrong type; got 3; expected a table [teacher]\n1 error");
  CHECK(problems(kTeacher + "[distill]\n") ==
        "r.toml:3:1: error: [distill] has no budget; expected tokens = … or steps = …\n1 error");
  CHECK(problems(kTeacher + "[[prune]]\n") ==
        "r.toml:3:1: error: [prune] axis without a name; expected axis = \"…\"\n"
        "r.toml:3:1: error: [prune] metric is missing; expected metric = { name = \"…\", … }\n"
        "r.toml:3:1: error: [prune] has no target; expected keep = … (units) or ratio = … (share kept)\n3 errors");
  CHECK(problems(kTeacher + "[prune]\naxis = \"ffn\"\n") ==
        "r.toml:3:1: error: prune has the wrong type; got a table; expected a list of tables [[prune]]\n1 error");
}

TEST_CASE("keys that exclude each other are told together") {
  CHECK(problems("[teacher]\npath = \"t\"\nspec = 1\n") ==
        "r.toml:3:8: error: [teacher] spec and path exclude each other; expected one of them\n1 error");
  CHECK(problems(kTeacher + "[data]\nvalid = \"v\"\nvalid_fraction = 0.1\n") ==
        "r.toml:5:18: error: [data] valid_fraction and valid exclude each other; expected one of them\n1 error");
  CHECK(problems(kTeacher + "[correct]\nsteps = 1\ntokens = 10\n") ==
        "r.toml:4:9: error: [correct] steps and tokens exclude each other; expected one of them\n1 error");
}

TEST_CASE("the micro-batch divides the global batch") {
  CHECK(problems(kTeacher + "[distill]\nsteps = 1\nglobal_batch = 6\nmicro_batch = 4\n") ==
        "r.toml:5:16: error: [distill] global_batch is not a multiple of micro_batch; got 6 and 4; expected a multiple "
        "of 4\n1 error");
}

TEST_CASE("init belongs to distillation only") {
  CHECK(problems(kTeacher + "[correct]\nsteps = 1\ninit = \"random\"\n")
            .starts_with("r.toml:5:1: error: [correct] unknown key; got 'init'; expected tokens, steps, "));
}

TEST_CASE("so does a teacher of its own; what is pruned belongs to the correction") {
  CHECK(problems(kTeacher + "[correct]\nsteps = 1\nteacher = \"u\"\n")
            .starts_with("r.toml:5:1: error: [correct] unknown key; got 'teacher'; expected tokens, steps, "));
  CHECK(problems(kTeacher + "[distill]\nsteps = 1\nprune_from = \"original\"\n")
            .starts_with("r.toml:5:1: error: [distill] unknown key; got 'prune_from'; expected tokens, steps, "));
  CHECK(problems(kTeacher + "[distill]\nsteps = 1\nteacher = \"\"\n") ==
        "r.toml:5:11: error: [distill] teacher is empty; expected a path\n1 error");
  CHECK(problems(kTeacher + "[distill]\nsteps = 1\nbalance = \"auto\"\n") ==
        "r.toml:5:11: error: [distill] balance is not a known choice; got \"auto\"; expected \"fixed\" or "
        "\"dynamic\"\n1 error");
}

TEST_CASE("to prune the original asks for an original, a cut, and a student of the corrected teacher") {
  const std::string correct = "[correct]\nsteps = 1\nprune_from = \"original\"\n",
                    prune = "[[prune]]\naxis = \"ffn\"\nkeep = 8\nmetric = { name = \"random\" }\n",
                    distill = "[distill]\nsteps = 1\n";
  CHECK(espalier_test::parse(kTeacher + correct + prune + distill).prunes_original());
  CHECK(problems(kTeacher + correct + distill) ==
        "r.toml:5:14: error: [correct] prune_from = \"original\" cuts nothing; got no [[prune]]; expected one or more, "
        "or no prune_from\n1 error");
  CHECK(
      problems(kTeacher + correct + prune) ==
      "r.toml:5:14: error: [correct] prune_from = \"original\" leaves the corrected teacher unused; got no [distill]; "
      "expected [distill], or no [correct]\n1 error");
  CHECK(problems(kTeacher + correct + prune + distill + "teacher = \"u\"\n") ==
        "r.toml:5:14: error: [correct] prune_from = \"original\" leaves the corrected teacher unused; got [distill] "
        "teacher; expected only one of them\n1 error");
  const std::string spec =
      "[teacher]\nspec = { family = \"llama\", layers = 1, hidden = 8, heads = 1, head_dim = 8, ffn = 8, vocab = 9 }\n";
  CHECK(problems(spec + correct + prune + distill) ==
        "r.toml:5:14: error: [correct] prune_from = \"original\" needs a teacher with weights; got [teacher] spec; "
        "expected [teacher] path\n1 error");
}

TEST_CASE("other programs' names are answered with ours") {
  const std::string text = std::string(kTeacher) +
                           "[distill]\nsteps = 1\nlr = 1e-4\ntrain_iters = 5\n"
                           "optimizer = { betas = [0.9, 0.95] }\n[export]\ntorch_dtype = \"float16\"\n";
  CHECK(problems(text) ==
        "r.toml:5:1: error: [distill] another program's name for a key; got 'lr'; expected scheduler = { peak = … }\n"
        "r.toml:6:1: error: [distill] another program's name for a key; got 'train_iters'; expected steps\n"
        "r.toml:7:15: error: [distill] unknown key of optimizer; got 'betas'; expected beta1, beta2, eps, "
        "weight_decay, moments or gradients; did you mean 'beta1'?\n"
        "r.toml:9:1: error: [export] another program's name for a key; got 'torch_dtype'; expected dtype\n"
        "4 errors");
}

TEST_CASE("tasks are checked one by one, and have names of their own") {
  CHECK(problems(kTeacher + "[eval]\ntasks = \"a.jsonl\"\n") ==
        "r.toml:4:9: error: [eval] tasks has the wrong type; got \"a.jsonl\"; expected a list of paths or of { path = "
        "\"…\", name = \"…\", shots = … }\n1 error");
  CHECK(
      problems(kTeacher +
               "[eval]\nshots = -1\nnum_fewshot = 5\ntasks = [ 3, { name = \"x\", shotz = 1 }, \"d/x.jsonl\" ]\n") ==
      "r.toml:4:9: error: [eval] shots is out of range; got -1; expected an integer of at least 0\n"
      "r.toml:5:1: error: [eval] another program's name for a key; got 'num_fewshot'; expected shots\n"
      "r.toml:6:11: error: [eval] tasks has the wrong type; got 3; expected a list of paths or of { path = \"…\", name "
      "= "
      "\"…\", shots = … }\n"
      "r.toml:6:14: error: [eval] tasks.path is missing; expected a string\n"
      "r.toml:6:28: error: [eval] unknown key of tasks; got 'shotz'; expected path, name or shots; did you mean "
      "'shots'?\n"
      "r.toml:6:41: error: [eval] tasks have the same name; got 'x' twice; expected names that differ: { path = \"…\", "
      "name = \"…\" }\n6 errors");
}

TEST_CASE("sources are checked one by one") {
  CHECK(
      problems(std::string(kTeacher) +
               "[data]\ntrain = [ { path = \"a\", weight = 1 }, \"b\", { wieght = 0 }, 3 ]\n") ==
      "r.toml:4:9: error: [data] train has entries with and without a weight; got 1 weights for 4 entries; expected a "
      "weight on every entry, or on none (then in proportion to size)\n"
      "r.toml:4:44: error: [data] train.path is missing; expected a string\n"
      "r.toml:4:46: error: [data] unknown key of train; got 'wieght'; expected path, weight or name; did you mean "
      "'weight'?\n"
      "r.toml:4:60: error: [data] train has the wrong type; got 3; expected a path, a list of paths or a list of { "
      "path = \"…\", weight = … }\n4 errors");
}

TEST_CASE("sizes are text or bytes") {
  for (const char* bad : {"\"5 potatoes\"", "0", "-3", "\"\""}) {
    CHECK(problems(kTeacher + "[export]\nshard_size = " + bad + "\n") ==
          "r.toml:4:14: error: [export] shard_size is not a size; got " + std::string(bad) +
              "; expected a size such as \"5GB\", or a number of bytes of at least 1\n1 error");
  }
  CHECK(problems(kTeacher + "[export]\nshard_size = [1]\n") ==
        "r.toml:4:14: error: [export] shard_size has the wrong type; got [1]; expected a size such as \"5GB\", or a "
        "number of bytes of at least 1\n1 error");
}

TEST_CASE("an option of a component is a value, never a table or a date") {
  CHECK(
      problems(std::string(kTeacher) +
               "[distill]\nsteps = 1\nscheduler = { name = \"x\", a = { b = 1 }, c = 2020-01-01 }\n") ==
      "r.toml:5:31: error: [distill] a of the scheduler has the wrong type; got a table; expected a bool, a number, a "
      "string or a list of these\n"
      "r.toml:5:46: error: [distill] c of the scheduler has the wrong type; got 2020-01-01; expected a bool, a number, "
      "a string or a list of these\n2 errors");
}
