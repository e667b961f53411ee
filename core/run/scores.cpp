// SPDX-License-Identifier: Apache-2.0
#include "core/run/scores.hpp"

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/memory.hpp"
#include "core/importance/job.hpp"
#include "core/model/counts.hpp"

namespace espalier {

std::string score_key(Run& run, std::size_t block) {
  const PruneBlock& prune = run.recipe().prune[block];
  const ScoreJob job = make_job(run.registry(), prune.axis, prune.metric, run.host());
  Digest digest;
  digest.add(run.pruned_model().digest()).add(job.axis.name).add(run.component_digest(*prune.metric));
  digest.add(std::to_string(run.recipe().seed)).add(c10::toString(run.compute().dtype));
  if (needs_data(job)) {
    const ScoreBlock& score = run.recipe().score;
    digest.add(run.data_digest(DataPart::calibration)).add(fmt::format("{} {}", score.samples, score.seq_length));
  }
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
