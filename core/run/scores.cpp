// SPDX-License-Identifier: Apache-2.0
#include "core/run/scores.hpp"

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/memory.hpp"
#include "core/importance/job.hpp"
#include "core/model/counts.hpp"
#include "core/model/layer_axis.hpp"
#include "core/prune/sliced_weights.hpp"
#include "core/run/device.hpp"
#include "core/run/stages.hpp"
#include "core/run/tasks.hpp"

namespace espalier {

namespace {

// Units that go as one run in a round: what the counts of the recipe say. A block that keeps everything has runs of 1.
std::int64_t run_of(const Run& run, std::size_t block, const AxisInfo& axis, std::int64_t round) {
  const PruneBlock& prune = run.recipe().prune[block];
  if (run.recipe().search) {
    Diagnostics diagnostics;
    diagnostics.error(
        prune.metric->where, prune.metric->table,
        fmt::format("metric '{}' scores runs of {}s, whose length [search] changes", prune.metric->name, axis.unit), "",
        fmt::format("a metric that scores {}s one by one", axis.unit));
    diagnostics.throw_if_any();
  }
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
  const std::int64_t before = round > 1 ? keeps_of_round(run, round - 1)[block] : units;
  return std::max<std::int64_t>(1, before - keeps_of_round(run, round)[block]);
}

std::string first_key(Run& run, std::size_t block, std::int64_t round) {
  const PruneBlock& prune = run.recipe().prune[block];
  const ScoreJob job = block_job(run, block, round);
  Digest digest;
  digest.add(run.pruned_model().digest()).add(job.axis.name).add(run.component_digest(*prune.metric));
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

// What a round leaves: its scores, the axes that choose by them, and their targets.
std::string round_digest(Run& run, std::int64_t round) {
  Digest digest;
  digest.add(std::to_string(run.recipe().score.rounds));
  for (const std::string& key : score_keys(run, round)) digest.add(key);
  for (const PruneBlock& block : run.recipe().prune) digest.add(run.component_digest(*block.axis));
  for (const std::int64_t keep : keeps_of_round(run, round)) digest.add(std::to_string(keep));
  return digest.hex();
}

// On a GPU what is free there counts, and weights may take most of it: they are loaded tensor by tensor, and passes
// without gradients need little beside them.
bool fits_in_memory(const ModelSpec& spec, Compute compute) {
  const auto element = static_cast<std::int64_t>(c10::elementSize(compute.dtype));
  const std::int64_t limit =
      compute.device.is_cpu() ? physical_memory_bytes() / 3 : free_device_bytes(compute.device) / 4 * 3;
  return count(spec, element, 1).bytes < limit;
}

}  // namespace

ScoreJob block_job(const Run& run, std::size_t block, std::int64_t round) {
  const PruneBlock& prune = run.recipe().prune[block];
  ScoreJob job = make_job(run.registry(), prune.axis, prune.metric, run.host());
  if (scores_runs(job)) job.run = run_of(run, block, job.axis, round);
  return job;
}

void check_jobs(const Run& run) {
  Diagnostics diagnostics;
  for (const PruneBlock& prune : run.recipe().prune) {
    try {
      needs_of(make_job(run.registry(), prune.axis, prune.metric, run.host()));
    } catch (const Error& error) {
      diagnostics.error(prune.metric->where, prune.metric->table, error.what(), "", "");
    }
  }
  diagnostics.throw_if_any();
  for (std::size_t i = 0; i < run.recipe().prune.size(); ++i) block_job(run, i, 1);
}

std::vector<std::string> score_keys(Run& run, std::int64_t round) {
  std::vector<std::string> keys;
  const std::string before = round > 1 ? round_digest(run, round - 1) : "";
  for (std::size_t i = 0; i < run.recipe().prune.size(); ++i) {
    keys.push_back(first_key(run, i, round));
    if (round > 1) keys.back() = Digest().add(keys.back()).add("after").add(before).hex();
  }
  return keys;
}

fs::path score_path(const Run& run, std::size_t block, std::int64_t round) {
  const std::vector<PruneBlock>& blocks = run.recipe().prune;
  std::string name = blocks[block].axis->name;
  int earlier = 0;  // blocks before this one that cut the same axis
  for (std::size_t i = 0; i < block; ++i) earlier += blocks[i].axis->name == blocks[block].axis->name ? 1 : 0;
  if (earlier > 0) name += "-" + std::to_string(earlier + 1);
  if (round > 1) name += ".round" + std::to_string(round);
  return run.files().scores() / (name + ".safetensors");
}

Scores load_block_scores(const Run& run, std::size_t block, std::int64_t round) {
  const fs::path path = score_path(run, block, round);
  const ScoreFile file = load_scores(path);
  const std::string& axis = run.recipe().prune[block].axis->name;
  if (file.axis != axis) fail("{}: scores of another axis; got '{}'; expected '{}'", path.string(), file.axis, axis);
  return file.scores;
}

std::unique_ptr<WeightSource> open_weights(const Checkpoint& checkpoint, Compute compute) {
  if (fits_in_memory(checkpoint.spec(), compute)) return std::make_unique<Model>(checkpoint, compute);
  return std::make_unique<StreamedWeights>(checkpoint, compute);
}

std::unique_ptr<WeightSource> open_weights(const Checkpoint& teacher, const Plan& plan, Compute compute) {
  auto sliced = std::make_unique<SlicedWeights>(teacher, plan, compute);
  if (fits_in_memory(plan.student, compute)) return std::make_unique<Model>(static_cast<WeightSource&>(*sliced));
  return sliced;
}

}  // namespace espalier
