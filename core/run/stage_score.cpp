// SPDX-License-Identifier: Apache-2.0
#include "core/base/digest.hpp"
#include "core/base/log.hpp"
#include "core/run/scores.hpp"
#include "core/run/stages.hpp"

namespace espalier {

namespace {

ScoreOptions score_options(const Run& run) {
  const ScoreBlock& block = run.recipe().score;
  ScoreOptions options;
  options.samples = block.samples;
  options.seq_length = block.seq_length;
  options.micro_batch = block.micro_batch;
  options.seed = run.recipe().seed;
  return options;
}

fs::path cached(const Run& run, const std::string& key) {
  return run.files().cache() / "scores" / (key + ".safetensors");
}

// Scores that do not tell units apart choose the lowest indices, which is rarely meant.
void warn_of_ties(const ScoreJob& job, const Scores& scores) {
  for (std::size_t i = 0; i < scores.per_layer.size(); ++i) {
    const at::Tensor& layer = scores.per_layer[i];
    if (layer.numel() < 2 || !layer.eq(layer[0]).all().item<bool>()) continue;
    spdlog::warn("{:<8} metric '{}' gives all {} {}s of axis '{}'{} the same score: the lowest indices are kept",
                 "score", job.metric, layer.numel(), job.axis.unit, job.axis.name,
                 job.axis.shared ? "" : fmt::format(", layer {},", i));
    return;
  }
}

// One pass over the calibration data for all blocks at once; the results go to the cache.
void compute_missing(Run& run, const std::vector<std::size_t>& blocks) {
  std::vector<ScoreJob> jobs;
  bool with_data = false;
  for (const std::size_t block : blocks) {
    const PruneBlock& prune = run.recipe().prune[block];
    jobs.push_back(make_job(run.registry(), prune.axis, prune.metric, run.host()));
    with_data = with_data || needs_data(jobs.back());
  }
  const ScoreOptions options = score_options(run);
  const std::unique_ptr<WeightSource> weights = open_weights(run.pruned_model(), run.compute());
  const std::vector<Scores> scores =
      score(*weights, jobs, with_data ? run.data(DataPart::calibration) : std::vector<TokenSource>{}, options);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    warn_of_ties(jobs[i], scores[i]);
    ScoreFile file{jobs[i].axis.name, jobs[i].axis.shared, scores[i], score_metadata(jobs[i], options)};
    file.metadata["teacher_digest"] = run.pruned_model().digest();
    if (needs_data(jobs[i])) file.metadata["calibration_digest"] = run.data_digest(DataPart::calibration);
    save_scores(cached(run, score_key(run, blocks[i])), file);
  }
}

}  // namespace

std::string score_inputs(Run& run) {
  Digest digest;
  for (std::size_t i = 0; i < run.recipe().prune.size(); ++i)
    digest.add(score_path(run, i).filename().string()).add(score_key(run, i));
  return digest.hex();
}

std::string run_score(Run& run) {
  std::vector<std::size_t> missing;
  const std::size_t count = run.recipe().prune.size();
  for (std::size_t i = 0; i < count; ++i) {
    if (!fs::exists(cached(run, score_key(run, i)))) missing.push_back(i);
  }
  if (missing.size() < count)
    spdlog::info("{:<8} {} of {} score files are reused", "score", count - missing.size(), count);
  if (!missing.empty()) compute_missing(run, missing);
  Digest digest;
  for (std::size_t i = 0; i < count; ++i) {
    espalier::copy_file(cached(run, score_key(run, i)), score_path(run, i));
    digest.add(digest_of_file(score_path(run, i)));
  }
  return digest.hex();
}

}  // namespace espalier
