// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/up_to_date.hpp"

#include "core/run/pipeline.hpp"
#include "expanded.hpp"

using namespace espalier;
using namespace espalier::test;

TEST_CASE("a run that was done on one device is not done on another") {
  const TemporaryFolder folder;
  Sweep sweep = expanded(kTeacher + "[sweep]\nseeds = [1]\n" + kDepth +
                         "[[sweep.arm]]\nname = \"plain\"\nset = { \"distill.micro_batch\" = 2 }\n");
  SweepRun& run = sweep.runs.front();
  run.recipe.output = folder / "run";
  run.recipe.data.train.clear();  // no file is there
  for (const Stage& stage : stages()) {
    if (stage.wanted(run.recipe)) write_text(stage.product(RunFiles{run.recipe.output}), "");
  }
  CHECK(!FinishedRuns(folder.path(), plugins(), "cpu").has(run));
  FinishedRuns(folder.path(), plugins(), "cpu").add(run);
  CHECK(FinishedRuns(folder.path(), plugins(), "cpu").has(run));
  CHECK(!FinishedRuns(folder.path(), plugins(), "cuda").has(run));
}
