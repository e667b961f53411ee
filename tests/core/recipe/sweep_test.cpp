// SPDX-License-Identifier: Apache-2.0
#include "core/recipe/sweep_recipe.hpp"

#include "tests/core/recipe/support.hpp"

namespace {

using espalier_test::kTeacher;
using espalier_test::RecipeFolder;

// Eight lines; what a test adds begins in line 9.
const std::string kBase =
    kTeacher + "[[prune]]\naxis = \"ffn\"\nkeep = 8\nmetric = { name = \"m\" }\n[distill]\nsteps = 4\n";
const std::string kTwo = "[[sweep.arm]]\nname = \"a\"\n[[sweep.arm]]\nname = \"b\"\nset = { \"prune.0.keep\" = 6 }\n";

espalier::SweepRecipe parse_sweep(const std::string& text, const espalier::Overrides& overrides = {}) {
  const RecipeFolder folder;
  espalier::Diagnostics diagnostics;
  espalier::SweepRecipe sweep = espalier::parse_sweep(folder.write("r.toml", text), overrides, diagnostics);
  CHECK_MESSAGE(diagnostics.empty(), diagnostics.text());
  return sweep;
}

std::string sweep_problems(const std::string& text, const espalier::Overrides& overrides = {}) {
  const RecipeFolder folder;
  espalier::Diagnostics diagnostics;
  espalier::parse_sweep(folder.write("r.toml", text), overrides, diagnostics);
  return folder.plain(diagnostics.text());
}

}  // namespace

TEST_CASE("a sweep has an arm for each variant, and defaults for all the rest") {
  const espalier::SweepRecipe sweep = parse_sweep(kBase + kTwo);
  CHECK(sweep.name == "r");
  CHECK(sweep.output == "runs/r");
  CHECK(sweep.baseline == "a");
  CHECK(sweep.seeds == std::vector<std::uint64_t>{1234});
  REQUIRE(sweep.teachers.size() == 1);
  CHECK(sweep.teachers[0].name == "t");
  REQUIRE(sweep.arms.size() == 2);
  CHECK(sweep.arms[0].recipe.prune[0].keep == 8);
  CHECK(sweep.arms[1].recipe.prune[0].keep == 6);
  CHECK(sweep.arms[1].recipe.distill->losses.size() == 1);
}

TEST_CASE("an arm is merged over the recipe as a recipe over its base, then its paths are set") {
  const espalier::SweepRecipe sweep = parse_sweep(kBase + R"([sweep]
seeds = [3, 1]
teachers = ["models/big/", { path = "models/big2", name = "second" }]
baseline = "c"
[[sweep.arm]]
name = "a"
distill = { tokens = 64, losses = [ { name = "mse" } ] }
set = { "distill.global_batch" = 2, score = { samples = 7 } }
[[sweep.arm]]
name = "c"
prune = [ { axis = "hidden", keep = 4, metric = { name = "n" } }, { axis = "ffn", ratio = 0.5, metric = { name = "n" } } ]
[[sweep.arm]]
name = "d"
[[sweep.arm.prune]]
axis = "layers"
keep = 2
metric = { name = "m" }
[sweep.arm.correct]
steps = 3
)");
  CHECK(sweep.baseline == "c");
  CHECK(sweep.seeds == std::vector<std::uint64_t>{3, 1});
  REQUIRE(sweep.teachers.size() == 2);
  CHECK(sweep.teachers[0].name == "big");
  CHECK(sweep.teachers[1].name == "second");
  CHECK(sweep.many_teachers());
  const espalier::Recipe &a = sweep.arms[0].recipe, &c = sweep.arms[1].recipe, &d = sweep.arms[2].recipe;
  CHECK(a.teacher.path == "models/big/");
  CHECK(a.distill->tokens == 64);
  CHECK(!a.distill->steps.has_value());  // tokens and steps exclude each other: the arm's word wins
  CHECK(a.distill->losses[0].loss->name == "mse");
  CHECK(a.distill->global_batch == 2);
  CHECK(a.score.samples == 7);
  REQUIRE(c.prune.size() == 2);
  CHECK(c.prune[0].axis->name == "hidden");
  REQUIRE(d.prune.size() == 1);
  CHECK(d.prune[0].axis->name == "layers");
  REQUIRE(d.correct.has_value());
  CHECK(d.correct->losses.size() == 1);  // its default components come after the merge
  CHECK(espalier::with_teacher(a, sweep.teachers[1]).teacher.path == "models/big2");
}

TEST_CASE("--set changes the recipe below the arms, and reaches into [sweep]") {
  const espalier::SweepRecipe sweep =
      parse_sweep(kBase + kTwo, {"distill.tokens=4096", "prune.0.keep=5", "sweep.seeds=[7]", "sweep.arm.0.name=z"});
  CHECK(sweep.seeds == std::vector<std::uint64_t>{7});
  CHECK(sweep.arms[0].arm.name == "z");
  CHECK(sweep.arms[0].recipe.prune[0].keep == 5);
  CHECK(sweep.arms[1].recipe.prune[0].keep == 6);
  CHECK(sweep.arms[0].recipe.distill->tokens == 4096);
  CHECK(!sweep.arms[0].recipe.distill->steps.has_value());
}

TEST_CASE("a sweep written out reads back to the same") {
  const std::string table = R"(
[sweep]
seeds = [1, 2]
teachers = [{ path = "x/one", name = "one" }, { path = "two", name = "other" }]
baseline = "b"
match = { by = "kv_bytes_per_token", to = "b", tolerance = 0.02, dtype = "float16" }
[[sweep.arm]]
name = "a"
free = "ffn"
set = { "distill.losses" = [{ name = "kl", weight = 0.5 }], "score.samples" = 64 }
prune = [{ axis = "ffn", metric = { name = "m", "odd key" = 1.5 } }]
[[sweep.arm]]
name = "b"
)";
  const espalier::SweepRecipe sweep = parse_sweep(kBase + table);
  const std::string written = espalier::sweep_text(sweep.sweep);
  const espalier::SweepRecipe again = parse_sweep(kBase + written);
  CHECK(espalier::sweep_text(again.sweep) == written);
  CHECK(written.find("match = { by = \"kv_bytes_per_token\", to = \"b\", tolerance = 0.02, dtype = \"float16\" }") !=
        std::string::npos);
  CHECK(written.find("prune = [{ axis = \"ffn\", metric = { name = \"m\", \"odd key\" = 1.5 } }]") !=
        std::string::npos);
  REQUIRE(again.arms.size() == 2);
  CHECK(espalier::to_toml(again.arms[0].recipe, {}) == espalier::to_toml(sweep.arms[0].recipe, {}));
}

TEST_CASE("both forms of a name of what is counted mean the same, in match and in budgets") {
  const std::string match = "[sweep]\nmatch = { by = \"kv_bytes\" }\n";
  CHECK(parse_sweep(kBase + match + kTwo).sweep.match->budget.by == "kv_bytes_per_token");
  CHECK(espalier_test::parse(kTeacher +
                             "[[prune]]\naxis = \"ffn\"\nmetric = { name = \"m\" }\n[search]\naxes = [ { axis "
                             "= \"ffn\", keep = [8] } ]\nbudget = [ { by = \"flops\", at_most = 5 } ]\n")
            .search->budget[0]
            .by == "flops_per_token");
}

TEST_CASE("the block of a free axis keeps everything until its size is solved for") {
  const espalier::SweepRecipe sweep =
      parse_sweep(kBase + "[sweep]\nmatch = { by = \"parameters\" }\n" + kTwo + "free = \"ffn\"\n");
  CHECK(sweep.match_to == "a");
  CHECK(!sweep.arms[1].recipe.prune[0].keep.has_value());
  CHECK(sweep.arms[1].recipe.prune[0].ratio == 1.0);
  CHECK(sweep.arms[1].recipe.prune[0].keep_where.line == 16);
}

TEST_CASE("a recipe with arms is not one run") {
  CHECK(espalier_test::problems(kBase + "[sweep]\nseedz = 3\n") ==
        "r.toml:9:1: error: [sweep] makes this recipe many runs, where one is expected; expected espalier sweep "
        "r.toml\n1 error");
  CHECK(sweep_problems(kBase) ==
        "r.toml: error: [sweep] is missing; expected a table [sweep] with [[sweep.arm]], or for a single run: espalier "
        "run r.toml\n1 error");
}

TEST_CASE("names of arms, seeds and teachers are told where they are wrong") {
  CHECK(sweep_problems(kBase + "[sweep]\nseeds = [1, 2, 1]\nseedz = 1\nbaseline = \"bb\"\n" + kTwo) ==
        "r.toml:10:16: error: [sweep] seeds has a seed twice; got 1; expected seeds that differ\n"
        "r.toml:11:1: error: [sweep] unknown key; got 'seedz'; expected seeds, teachers, baseline, match or arm; did "
        "you mean 'seeds'?\n"
        "r.toml:12:12: error: [sweep] baseline is not an arm; got 'bb'; expected a or b; did you mean 'b'?\n3 errors");
  CHECK(sweep_problems(kBase + "[sweep]\n") ==
        "r.toml:9:1: error: [sweep] has no arms; expected [[sweep.arm]] with name = \"…\" and what the arm changes\n"
        "1 error");
  CHECK(
      sweep_problems(kBase + "[[sweep.arm]]\nname = \"a/b\"\n[[sweep.arm]]\n[[sweep.arm]]\nname = \"c\"\n"
                             "[[sweep.arm]]\nname = \"c\"\n") ==
      "r.toml:10:8: error: [sweep] arm.name cannot name a folder; got \"a/b\"; expected letters, digits, '-', '_' "
      "and '.'\n"
      "r.toml:11:1: error: [sweep] arm.name is missing; expected a string\n"
      "r.toml:15:8: error: [sweep] arm.name is that of an earlier arm; got 'c'; expected names that differ\n3 errors");
  CHECK(
      sweep_problems(kBase + "[sweep]\nteachers = [\"x/t\", \"y/t\", \"..\", 3]\n" + kTwo) ==
      "r.toml:10:20: error: [sweep] two teachers have the same name; got 't'; expected names that differ: { path = "
      "\"…\", name = \"…\" }\n"
      "r.toml:10:27: error: [sweep] a teacher's name cannot name a folder; got \"..\"; expected { path = \"…\", name "
      "= \"…\" } with letters, digits, '-', '_' and '.'\n"
      "r.toml:10:33: error: [sweep] teachers has the wrong type; got 3; expected a list of paths or of { path = \"…\", "
      "name = \"…\" }\n3 errors");
}

TEST_CASE("what belongs to the whole sweep cannot be set by an arm") {
  CHECK(sweep_problems(kBase + "[[sweep.arm]]\nname = \"a\"\nseed = 3\nset = { output = \"x\", \"name\" = \"y\" }\n") ==
        "r.toml:11:1: error: [sweep] an arm cannot set seed; expected seeds = [ … ] in [sweep]\n"
        "r.toml:12:9: error: [sweep] an arm cannot set output; expected output outside [sweep]: each run has a folder "
        "of its own in it\n"
        "r.toml:12:23: error: [sweep] an arm cannot set name; expected the arm's own name\n3 errors");
  CHECK(sweep_problems(kBase + "[sweep]\nteachers = [\"u\"]\n[[sweep.arm]]\nname = \"a\"\nset = { \"teacher.path\" = "
                               "\"v\" }\n") ==
        "r.toml:11:1: error: [sweep] arm 'a' sets the teacher, and so does teachers; expected one of them\n1 error");
}

TEST_CASE("mistakes in an arm are told at their place in the file, those around the arms once") {
  CHECK(
      sweep_problems(kTeacher + "[distill]\nstep = 4\n" + kTwo + "distil = { steps = 3 }\n") ==
      "r.toml:3:1: error: [distill] has no budget; expected tokens = … or steps = …\n"
      "r.toml:4:1: error: [distill] unknown key; got 'step'; expected tokens, steps, global_batch, micro_batch, "
      "recompute, cuda_graph, losses, balance, scheduler, optimizer, clip_grad, save_every, keep_last, eval_every, "
      "eval_windows, "
      "log_every, "
      "init, teacher or teacher_config; did you mean 'steps'?\n"
      "r.toml:9:26: error: prune has the wrong type; got a table; expected a list of tables [[prune]]\n"
      "r.toml:10:1: error: unknown key; got 'distil'; expected schema, name, extends, seed, output, plugins, teacher, "
      "data, correct, score, prune, search, distill, teacher_cache, eval, export, lock or sweep; did you mean "
      "'distill'?\n"
      "4 errors");
}

TEST_CASE("free is the axis of one [[prune]] block of the arm, and needs a match") {
  CHECK(sweep_problems(kBase + kTwo + "free = \"fnn\"\n") ==
        "r.toml:14:8: error: [sweep] arm.free has nothing to be solved for; got 'fnn'; expected match = { by = \"…\" } "
        "in [sweep]\n"
        "r.toml:14:8: error: [sweep] arm.free is not an axis of [[prune]]; got 'fnn'; expected ffn; did you mean "
        "'ffn'?\n2 errors");
}

TEST_CASE("a match counts something, and somebody sets its target") {
  const auto match = [](const std::string& keys, const std::string& more = "") {
    return sweep_problems(kBase + "[sweep]\nmatch = { " + keys + " }\n" + kTwo + more);
  };
  CHECK(match("by = \"params\"") ==
        "r.toml:10:16: error: [sweep] match.by is not a known choice; got \"params\"; expected \"parameters\", "
        "\"non_embedding_parameters\", \"memory\", \"kv_bytes_per_token\", \"kv_bytes\", \"flops_per_token\", "
        "\"flops\" or \"throughput\"\n1 error");
  CHECK(match("by = \"parameters\", to = \"aa\", target = 5, batch = 3") ==
        "r.toml:10:35: error: [sweep] match.to is not an arm; got 'aa'; expected a or b; did you mean 'a'?\n"
        "r.toml:10:50: error: [sweep] match.target and to exclude each other; expected one of them\n"
        "r.toml:10:61: error: [sweep] match.batch has no meaning for parameters; expected no such key\n3 errors");
  CHECK(match("by = \"parameters\", to = \"b\"", "free = \"ffn\"\n") ==
        "r.toml:10:35: error: [sweep] match.to is an arm whose own size is free; got 'b'; expected one without free\n"
        "1 error");
}

TEST_CASE("arms that match are compared on equal terms") {
  const std::string match = "[sweep]\nmatch = { by = \"parameters\" }\n";
  CHECK(sweep_problems(kBase + match +
                       "[[sweep.arm]]\nname = \"a\"\n[[sweep.arm]]\nname = \"b\"\ndistill = { steps = 5 "
                       "}\nset = { \"eval.windows\" = 3 }\n") ==
        "r.toml:15:21: error: [sweep] arms that match must agree in distill.tokens, and 'b' does not; got 163,840 "
        "tokens of training; expected 131,072 tokens of training, as in 'a'\n"
        "r.toml:16:26: error: [sweep] arms that match must agree in eval.windows, and 'b' does not; got 3; expected 0, "
        "as in 'a'\n2 errors");
  // The arm that gives the target may be the one that has moved away.
  CHECK(
      sweep_problems(kBase + match +
                     "[[sweep.arm]]\nname = \"a\"\nset = { \"data.train\" = \"x\" }\n[[sweep.arm]]\n"
                     "name = \"b\"\n") ==
      "r.toml:13:24: error: [sweep] arms that match must agree in data.train, and 'b' does not; got none; expected x, "
      "as in 'a'\n1 error");
  CHECK(sweep_problems(kBase + "[[sweep.arm]]\nname = \"a\"\n[[sweep.arm]]\nname = \"b\"\ndistill = { steps = 5 }\n")
            .find("0 errors") == 0);
}
