// SPDX-License-Identifier: Apache-2.0
#include "core/run/scores.hpp"

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/memory.hpp"
#include "core/importance/job.hpp"
#include "core/model/counts.hpp"
#include "core/model/layer_axis.hpp"
#include "core/run/stages.hpp"
#include "core/run/tasks.hpp"

namespace espalier {

namespace {

// Units that go as one run: what the counts of the recipe say. A block that keeps everything has runs of 1.
std::int64_t run_of(const Run& run, std::size_t block, const AxisInfo& axis) {
  const PruneBlock& prune = run.recipe().prune[block];
  const Plan plan = plan_from_config(run);
  const AxisSelection& target = plan.selections.at(block);
  const auto units = static_cast<std::int64_t>(layers_with(plan.teacher, axis.part).size());
  if (target.extent != units) {
    Diagnostics diagnostics;
    diagnostics.error(
        prune.metric->where, prune.metric->table,
        fmt::format("metric '{}' scores runs of the teacher's {}s, and an earlier block has cut them",
                    prune.metric->name, axis.unit),
        fmt::format("{} of {}", target.extent, units),
        fmt::format("axis '{}' in front of that block, or a metric that scores {}s one by one", axis.name, axis.unit));
    diagnostics.throw_if_any();
  }
  return std::max<std::int64_t>(1, target.extent - target.keep);
}

}  // namespace

ScoreJob block_job(const Run& run, std::size_t block) {
  const PruneBlock& prune = run.recipe().prune[block];
  ScoreJob job = make_job(run.registry(), prune.axis, prune.metric, run.host());
  if (scores_runs(job)) job.run = run_of(run, block, job.axis);
  return job;
}

void check_jobs(const Run& run) {
  for (std::size_t i = 0; i < run.recipe().prune.size(); ++i) needs_of(block_job(run, i));
}

std::string score_key(Run& run, std::size_t block) {
  const PruneBlock& prune = run.recipe().prune[block];
  const ScoreJob job = block_job(run, block);
  Digest digest;
  digest.add(run.teacher().digest()).add(job.axis.name).add(run.component_digest(*prune.metric));
  digest.add(std::to_string(run.recipe().seed)).add(c10::toString(run.compute().dtype));
  if (needs_data(job)) {
    const ScoreBlock& score = run.recipe().score;
    digest.add(run.data_digest(DataPart::calibration)).add(fmt::format("{} {}", score.samples, score.seq_length));
  }
  if (job.axis.part != Part::whole) digest.add(name_of(job.axis.part));
  if (scores_runs(job)) digest.add(fmt::format("runs of {}", job.run));
  if (const Needs needs = needs_of(job); needs.evidence == Evidence::task)
    digest.add(task_digest(source_of(run, needs.task), open_tokenizer(run.tokenizer())));
  return digest.hex();
}

fs::path score_path(const Run& run, std::size_t block) {
  const std::vector<PruneBlock>& blocks = run.recipe().prune;
  const std::string& axis = blocks[block].axis->name;
  int earlier = 0;  // blocks before this one that cut the same axis
  for (std::size_t i = 0; i < block; ++i) earlier += blocks[i].axis->name == axis ? 1 : 0;
  return run.files().scores() / (axis + (earlier > 0 ? "-" + std::to_string(earlier + 1) : "") + ".safetensors");
}

Scores load_block_scores(const Run& run, std::size_t block) {
  const fs::path path = score_path(run, block);
  const ScoreFile file = load_scores(path);
  const std::string& axis = run.recipe().prune[block].axis->name;
  if (file.axis != axis) fail("{}: scores of another axis; got '{}'; expected '{}'", path.string(), file.axis, axis);
  return file.scores;
}

std::unique_ptr<WeightSource> open_weights(const Checkpoint& checkpoint, Compute compute) {
  const auto element = static_cast<std::int64_t>(c10::elementSize(compute.dtype));
  const bool fits = count(checkpoint.spec(), element, 1).bytes < physical_memory_bytes() / 3;
  if (fits) return std::make_unique<Model>(checkpoint, compute);
  return std::make_unique<StreamedWeights>(checkpoint, compute);
}

}  // namespace espalier
