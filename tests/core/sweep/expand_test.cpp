// SPDX-License-Identifier: Apache-2.0
#include "tests/core/sweep/expanded.hpp"

#include "core/base/files.hpp"
#include "core/run/run_files.hpp"
#include "core/run/training_memory.hpp"
#include "core/sweep/cost.hpp"
#include "core/sweep/sharing.hpp"

using espalier::Sweep;
using espalier::test::expanded;
using espalier::test::kDepth;
using espalier::test::kTeacher;
using espalier::test::plugins;
using espalier::test::refusal;
using espalier::test::TemporaryFolder;

namespace {

const std::string kTwo = "[sweep]\nseeds = [3, 5]\n" + kDepth +
                         "[[sweep.arm]]\nname = \"plain\"\nset = { "
                         "\"distill.micro_batch\" = 2 }\n";

}  // namespace

TEST_CASE("a sweep is a run for every arm and seed, with a recipe of its own") {
  const Sweep sweep = expanded("name = \"s\"\n" + kTeacher + kTwo);
  REQUIRE(sweep.runs.size() == 4);
  CHECK(sweep.runs[1].name == "depth-seed5");
  CHECK(sweep.runs[1].recipe.name == "depth-seed5");
  CHECK(sweep.runs[1].recipe.output == "runs/s/depth-seed5");
  CHECK(sweep.runs[1].recipe.seed == 5);
  CHECK(sweep.runs[2].name == "plain-seed3");
  CHECK(sweep.runs[2].recipe.prune.empty());
  REQUIRE(sweep.differences.size() == 2);
  CHECK(sweep.differences[0].key == "prune");
  CHECK(sweep.differences[0].values[1].second.empty());
  CHECK(sweep.differences[1].key == "distill.micro_batch");
}

TEST_CASE("an arm that is another one in other words is refused") {
  // The scheduler's default, written out.
  CHECK(refusal(kTeacher +
                "[[sweep.arm]]\nname = \"a\"\n[[sweep.arm]]\nname = \"b\"\nset = { \"distill.log_every\" = 10 "
                "}\n") ==
        "r.toml:11:1: error: [sweep] arm 'b' is the same recipe as arm 'a'; expected arms that differ in something\n"
        "1 error");
}

TEST_CASE("cost follows from counts: three student passes and one of the teacher for each token") {
  const Sweep sweep = expanded("[score]\nsamples = 6\n" + kTeacher + kTwo);
  const espalier::RunCost cost = espalier::predict(sweep.runs[0].recipe, plugins(), {at::kFloat, at::kCPU});
  // A layer: 2 · (3072 + 4608) and attention 4 · 32 · 16 / 2; the head: 2 · 32 · 100.
  const double layer = 2.0 * 7680 + 1024, head = 6400, tokens = 2 * 2 * 16;
  CHECK(cost.training_tokens == 64);
  CHECK(cost.training_steps == 2);
  CHECK(cost.training_flops == tokens * (3 * (3 * layer + head) + (4 * layer + head)));
  CHECK(cost.scoring_flops == 0.0);  // `random` looks at nothing
  CHECK(cost.eval_flops == 0.0);
  // 16 bytes for each of the student's 3 · 7744 + 32 + 2 · 3200 parameters, 4 for the teacher's; the rest is an
  // estimate.
  CHECK(cost.memory > 16 * 29664 + 4 * 37408);
  CHECK(cost.memory < 16 * 29664 + 4 * 37408 + espalier::program_bytes(at::kCPU) + (1 << 21));
}

TEST_CASE("on a GPU a run costs what it needs there") {
  const Sweep sweep = expanded(kTeacher + kTwo);
  const espalier::RunCost cost = espalier::predict(sweep.runs[0].recipe, plugins(), {at::kBFloat16, at::kCUDA});
  // Weights, the 16 bits behind them, gradients and moments: 16 bytes for a parameter too; 2 for the teacher's.
  const std::int64_t known = 16 * 29664 + 2 * 37408 + espalier::program_bytes(at::kCUDA);
  CHECK(cost.memory > known);
  CHECK(cost.memory < known + (1 << 22));
  CHECK(cost.training_flops ==
        espalier::predict(sweep.runs[0].recipe, plugins(), {at::kFloat, at::kCPU}).training_flops);
}

TEST_CASE("the pace of one device is not another's") {
  const TemporaryFolder folder;
  Sweep sweep = expanded(kTeacher + kTwo);
  for (espalier::SweepRun& run : sweep.runs) run.recipe.output = folder / "sweep" / run.name;
  const std::vector<espalier::RunCost> costs(sweep.runs.size());
  CHECK(!espalier::known_pace(sweep, costs, at::kCPU, 2));
  espalier::write_json(espalier::RunFiles{sweep.runs[0].recipe.output}.cache() / "pace.json",
                       {{"cpu 2 threads", 3e9}, {"cuda", 4e14}});
  CHECK(espalier::known_pace(sweep, costs, at::kCPU, 2) == 3e9);
  CHECK(!espalier::known_pace(sweep, costs, at::kCPU, 1));
  CHECK(espalier::known_pace(sweep, costs, at::kCUDA, 2) == 4e14);
}

TEST_CASE("runs of one seed share what their recipes have in common") {
  const std::string arms =
      "[sweep]\nseeds = [1, 2, 3]\n[[sweep.arm]]\nname = \"a\"\n[[sweep.arm]]\nname = \"b\"\nset = { "
      "\"distill.losses\" = [ { name = \"mse\" } ] }\n[[sweep.arm]]\nname = \"c\"\nset = { "
      "\"prune.0.keep\" = 16 }\n";
  const Sweep sweep =
      expanded(kTeacher + "[[prune]]\naxis = \"ffn\"\nkeep = 24\nmetric = { name = \"random\" }\n" + arms);
  std::string text;
  for (const espalier::SharedWork& work : espalier::shared_work(sweep, plugins()))
    text += fmt::format("{} {} {}\n", work.what, work.runs, work.times);
  // The teacher comes from random weights, which are a function of the seed; there is no validation data.
  CHECK(text == "correct 9 3\nscore (each axis) 9 3\nplan 9 6\nslice 9 6\nverify 9 6\n");
}
