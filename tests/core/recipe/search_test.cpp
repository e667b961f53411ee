// SPDX-License-Identifier: Apache-2.0
#include "tests/core/recipe/support.hpp"

namespace {

using espalier_test::kTeacher;
using espalier_test::parse;
using espalier_test::problems;

const std::string kHidden = "[[prune]]\naxis = \"hidden\"\nmetric = { name = \"m\" }\n";
const std::string kFfn = "[[prune]]\naxis = \"ffn\"\nmetric = { name = \"m\" }\n";

// Problems of a [search] with these lines, over searched hidden and ffn; its first line is line 10.
std::string search_problems(const std::string& lines) {
  return problems(kTeacher + kHidden + kFfn + "[search]\n" + lines);
}

const std::string kAxes = "axes = [ { axis = \"hidden\", keep = [8] }, { axis = \"ffn\", keep = [8] } ]\n";

}  // namespace

TEST_CASE("a search reads its grid, its budgets and its defaults") {
  const espalier::Recipe recipe = parse(kTeacher + kHidden + kFfn + R"([search]
axes = [ { axis = "hidden", from = 16, to = 32, step = 8 }, { axis = "ffn", ratio_of = "hidden", keep = [2.5, 3] } ]
budget = [ { by = "parameters", target = 4e9 }, { by = "memory", at_most = "24GB", batch = 8, sequence = 4096, dtype = "bfloat16" } ]
rounds = [1e9, 2e9]
[distill]
steps = 1
)");
  const espalier::SearchBlock& search = *recipe.search;
  REQUIRE(search.axes.size() == 2);
  CHECK(search.axes[0].from == 16);
  CHECK(search.axes[0].to == 32);
  CHECK(search.axes[0].step == 8);
  CHECK(search.axes[1].ratio_of == "hidden");
  CHECK(search.axes[1].keep == std::vector<double>{2.5, 3.0});
  CHECK(search.axes[1].keep_where[1].column == 111);
  REQUIRE(search.budget.size() == 2);
  CHECK(search.budget[0].target == 4e9);
  CHECK(!search.budget[0].tolerance.has_value());
  CHECK(search.budget[1].at_most == 24e9);
  CHECK(search.budget[1].batch == 8);
  CHECK(search.rounds == std::vector<double>{1e9, 2e9});
  CHECK(search.windows == 64);
  CHECK(search.top_k == 20);
  CHECK(search.keep == 0.5);
  CHECK(search.data.empty());
  CHECK(!search.throughput);
  CHECK(!recipe.prune[0].keep.has_value());
}

TEST_CASE("a search written out reads back to the same") {
  const std::string text = kTeacher + kHidden + kFfn + R"([search]
axes = [ { axis = "hidden", max_removed = 0.4, step = 256 }, { axis = "ffn", ratio_of = "hidden", keep = [2.5, 3] } ]
budget = [ { by = "memory", at_most = "24GB", at_least = 1, dtype = "float16" } ]
rounds = [1e9]
keep = 0.25
data = "calibration"
[distill]
steps = 1
)";
  const espalier::Recipe recipe = parse(text);
  const std::string written = espalier::to_toml(recipe, {});
  CHECK(written.find("[search]\naxes = [{ axis = \"hidden\", step = 256, max_removed = 0.4 }, { axis "
                     "= \"ffn\", keep = [2.5, 3.0], ratio_of = \"hidden\" }]\n") != std::string::npos);
  CHECK(written.find("budget = [{ by = \"memory\", at_least = 1.0, at_most = 2.4e+10, "
                     "dtype = \"float16\" }]\n") != std::string::npos);
  const espalier::Recipe again = parse(written);
  CHECK(espalier::to_toml(again, {}) == written);
}

TEST_CASE("sizes of an axis come in one of three forms") {
  CHECK(search_problems(
            "axes = [ { axis = \"hidden\" },\n{ axis = \"ffn\", keep = [8], from = 2, max_removed = 0.5 } ]\n") ==
        "r.toml:10:19: error: [search] axes.axis has no sizes; got 'hidden'; expected keep = [ … ], from = … and to = "
        "…, or max_removed = …\n"
        "r.toml:11:36: error: [search] axes.from and keep exclude each other; expected keep = [ … ], from = … and to "
        "= …, or max_removed = …\n2 errors");
  CHECK(
      search_problems(
          "axes = [ { axis = \"hidden\", from = 9, to = 4 },\n{ axis = \"ffn\", to = 4, ratio_of = \"hidden\" } ]\n") ==
      "r.toml:10:44: error: [search] axes.to is below from; got 4; expected 9 or more\n"
      "r.toml:11:22: error: [search] axes.to has no from; expected both ends of the range\n"
      "r.toml:11:36: error: [search] axes.ratio_of has no multiples; expected keep = [ … ], how many times that "
      "axis's size\n3 errors");
  CHECK(search_problems(
            "axes = [ { axis = \"hidden\", keep = [8, 2.5], step = 2 },\n{ axis = \"ffn\", keep = [] } ]\n") ==
        "r.toml:10:36: error: [search] axes.keep is not a list of whole numbers; got 2.5; expected units to keep\n"
        "r.toml:10:53: error: [search] axes.step and keep exclude each other; expected one of them\n"
        "r.toml:11:24: error: [search] axes.keep is empty; got []; expected sizes to choose from\n3 errors");
  CHECK(search_problems(
            "axes = [ { axis = \"hidden\", keep = [0] }, { axis = \"ffn\", max_removed = 1.5, keeps = 3 } ]\n") ==
        "r.toml:10:36: error: [search] axes.keep is out of range; got [0]; expected a list of reals, each above 0\n"
        "r.toml:10:73: error: [search] axes.max_removed is out of range; got 1.5; expected a real from 0 to 1\n"
        "r.toml:10:78: error: [search] unknown key of axes; got 'keeps'; expected axis, keep, ratio_of, from, to, step "
        "or max_removed; did you mean 'keep'?\n3 errors");
}

TEST_CASE("the axes of a search are those of blocks without a target") {
  CHECK(search_problems("axes = [ { axis = \"hiden\", keep = [8] }, { axis = \"ffn\", keep = [8] }, { axis = \"ffn\", "
                        "keep = [9] } ]\n") ==
        "r.toml:3:1: error: [prune] has no target; expected keep = … (units) or ratio = … (share kept), or an entry in "
        "the axes of [search]\n"
        "r.toml:10:19: error: [search] axes.axis has no [[prune]] block; got 'hiden'; expected hidden or ffn; did you "
        "mean 'hidden'?\n"
        "r.toml:10:81: error: [search] axes names an axis twice; got 'ffn'; expected one entry each\n3 errors");
  CHECK(problems(kTeacher + kHidden + "keep = 4\n[search]\naxes = [ { axis = \"hidden\", keep = [8] } ]\n") ==
        "r.toml:6:8: error: [prune] keep of axis 'hidden' and [search] exclude each other; expected no target here: "
        "[search] chooses it\n1 error");
  CHECK(problems(kTeacher + "[search]\n") ==
        "r.toml:3:1: error: [search] has no axes; expected axes = [ { axis = \"…\", keep = [ … ] }, … ]\n1 error");
  CHECK(problems(kTeacher + "[[search]]\n").starts_with("r.toml:3:1: error: search has the wrong type; "));
  // A multiple is of a size that is known by then.
  CHECK(
      search_problems(
          "axes = [ { axis = \"hidden\", ratio_of = \"ffn\", keep = [0.5] }, { axis = \"ffn\", keep = [8] } ]\n") ==
      "r.toml:10:40: error: [search] axes.ratio_of is not the axis of an earlier [[prune]] block; got 'ffn'; expected "
      "a block before that of 'hidden'\n1 error");
  CHECK(search_problems(
            "axes = [ { axis = \"hidden\", keep = [8] }, { axis = \"ffn\", ratio_of = \"hiden\", keep = [0.5] } ]\n") ==
        "r.toml:10:70: error: [search] axes.ratio_of is not the axis of an earlier [[prune]] block; got 'hiden'; "
        "expected hidden; did you mean 'hidden'?\n1 error");
}

TEST_CASE("a budget has a bound, and only keys that its number depends on") {
  CHECK(search_problems(kAxes + "budget = [ { by = \"params\", at_most = 1 } ]\n") ==
        "r.toml:11:19: error: [search] budget.by is not a known choice; got \"params\"; expected \"parameters\", "
        "\"non_embedding_parameters\", \"memory\", \"kv_bytes_per_token\", \"kv_bytes\", \"flops_per_token\", "
        "\"flops\" or \"throughput\"\n1 "
        "error");
  CHECK(search_problems(kAxes + "budget = [ { by = \"memory\" },\n{ by = \"memory\", target = 5, at_most = 6 },\n"
                                "{ by = \"memory\", at_least = 5, at_most = 4, tolerance = 0.1 },\n"
                                "{ by = \"memory\", at_least = 5, at_most = 4 } ]\n") ==
        "r.toml:11:19: error: [search] budget.by has no bound; got 'memory'; expected at_most = …, at_least = …, or "
        "target = …\n"
        "r.toml:12:40: error: [search] budget.at_most and target exclude each other; expected one of them\n"
        "r.toml:13:57: error: [search] budget.tolerance has no target; expected target = …\n"
        "r.toml:14:42: error: [search] budget.at_most is below at_least; got 4; expected 5 or more\n4 errors");
  CHECK(search_problems(kAxes + "budget = [ { by = \"parameters\", at_most = \"5GB\", batch = 2 },\n"
                                "{ by = \"kv_bytes_per_token\", at_most = \"5XB\", sequence = 2 } ]\n") ==
        "r.toml:11:43: error: [search] budget.at_most has the wrong type; got \"5GB\"; expected a real above 0\n"
        "r.toml:11:58: error: [search] budget.batch has no meaning for parameters; expected no such key\n"
        "r.toml:12:40: error: [search] budget.at_most is not a size; got \"5XB\"; expected a size such as \"24GB\", or "
        "a number above 0\n"
        "r.toml:12:58: error: [search] budget.sequence has no meaning for kv_bytes_per_token; expected no such key\n"
        "4 errors");
}

TEST_CASE("rounds are whole tokens, and need [distill]; validation data must be there when it is asked for") {
  CHECK(search_problems(kAxes + "rounds = [1.5]\ndata = \"valid\"\n") ==
        "r.toml:9:1: error: [search] data asks for validation data, and there is none; got \"valid\"; expected valid "
        "or valid_fraction in [data], or data = \"calibration\"\n"
        "r.toml:11:10: error: [search] rounds are not whole numbers; got 1.5; expected tokens that a candidate trains "
        "for in each round\n"
        "r.toml:11:10: error: [search] rounds train as [distill] says, and there is none; expected a table [distill]\n"
        "3 errors");
  CHECK(search_problems(kAxes + "max_width_pruning = 0.4\nkeep = 0\n") ==
        "r.toml:11:1: error: [search] another program's name for a key; got 'max_width_pruning'; expected axes = [ { "
        "max_removed = … } ]\n"
        "r.toml:12:8: error: [search] keep is out of range; got 0; expected a real above 0 and at most 1\n2 errors");
}
