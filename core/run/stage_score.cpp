// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <memory>
#include <set>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/log.hpp"
#include "core/data/path_lock.hpp"
#include "core/run/scores.hpp"
#include "core/run/stages.hpp"
#include "core/run/tasks.hpp"

namespace espalier {

namespace {

ScoreOptions score_options(const Run& run) {
  const ScoreBlock& block = run.recipe().score;
  ScoreOptions options;
  options.samples = block.samples;
  options.seq_length = block.seq_length;
  options.micro_batch = block.micro_batch;
  options.seed = run.recipe().seed;
  options.tokenizer = run.tokenizer();
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
    const std::string runs = job.run > 1 && scores_runs(job) ? fmt::format("runs of {} ", job.run) : "";
    spdlog::warn("{:<8} metric '{}' gives all {} {}{}s of axis '{}'{} the same score: the lowest indices are kept",
                 "score", job.metric, layer.numel(), runs, job.axis.unit, job.axis.name,
                 job.axis.shared ? "" : fmt::format(", layer {},", i));
    return;
  }
}

// The pass alone, without the loading of weights that stay resident.
void say_pace(const ScoreOptions& options, std::chrono::steady_clock::time_point start) {
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  spdlog::info("{:<8} {} samples of {} tokens in {:.3f} s, {:.0f} tokens/s", "score", options.samples,
               options.seq_length, seconds, static_cast<double>(options.samples * options.seq_length) / seconds);
}

// The model to be pruned, or what the rounds before have left of it.
std::unique_ptr<WeightSource> scored_model(Run& run, std::int64_t round) {
  if (round == 1) return open_weights(run.pruned_model(), run.compute());
  return open_weights(run.pruned_model(), plan_after_round(run, round - 1), run.compute());
}

// One pass over the calibration data for all blocks at once; the results go to the cache under their keys.
void compute_missing(Run& run, std::int64_t round, const std::vector<std::size_t>& blocks,
                     const std::vector<std::string>& keys) {
  std::vector<ScoreJob> jobs;
  bool with_data = false;
  for (const std::size_t block : blocks) {
    jobs.push_back(block_job(run, block, round));
    with_data = with_data || needs_data(jobs.back());
  }
  const ScoreOptions options = score_options(run);
  const std::unique_ptr<WeightSource> weights = scored_model(run, round);
  const auto start = std::chrono::steady_clock::now();
  const std::vector<Scores> scores =
      score(*weights, jobs, with_data ? run.data(DataPart::calibration) : std::vector<TokenSource>{}, options);
  if (with_data) say_pace(options, start);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    warn_of_ties(jobs[i], scores[i]);
    ScoreFile file{jobs[i].axis.name, jobs[i].axis.shared, scores[i], score_metadata(jobs[i], options)};
    file.metadata["teacher_digest"] = run.pruned_model().digest();
    if (needs_data(jobs[i])) file.metadata["calibration_digest"] = run.data_digest(DataPart::calibration);
    if (const Needs needs = needs_of(jobs[i]); needs.evidence == Evidence::task) {
      file.metadata["task_digest"] = digest_of_file(needs.task.file);
      file.metadata["tokenizer_digest"] = open_tokenizer(options.tokenizer).digest;
    }
    if (round > 1) file.metadata["round"] = fmt::format("{} of {}", round, run.recipe().score.rounds);
    save_scores(cached(run, keys[blocks[i]]), file);
  }
}

std::vector<std::size_t> missing_of(const Run& run, const std::vector<std::string>& keys) {
  std::vector<std::size_t> missing;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!fs::exists(cached(run, keys[i]))) missing.push_back(i);
  }
  return missing;
}

// Held while scores are computed, so that a run beside this one that wants some of them waits for them. In the order of
// their keys: two runs never wait for each other.
std::vector<std::unique_ptr<PathLock>> lock_scores(const Run& run, const std::vector<std::string>& keys,
                                                   const std::vector<std::size_t>& missing) {
  std::set<fs::path> paths;
  for (const std::size_t i : missing) paths.insert(cached(run, keys[i]));
  std::vector<std::unique_ptr<PathLock>> locks;
  for (const fs::path& path : paths) locks.push_back(std::make_unique<PathLock>(path));
  return locks;
}

// Scores one round and puts its files into the run. Returns the number of files that were there already.
std::size_t score_round(Run& run, std::int64_t round, Digest& digest) {
  const std::vector<std::string> keys = score_keys(run, round);
  std::vector<std::size_t> missing = missing_of(run, keys);
  if (!missing.empty()) {
    const std::vector<std::unique_ptr<PathLock>> locks = lock_scores(run, keys, missing);
    missing = missing_of(run, keys);
    if (!missing.empty()) compute_missing(run, round, missing, keys);
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    espalier::copy_file(cached(run, keys[i]), score_path(run, i, round));
    digest.add(digest_of_file(score_path(run, i, round)));
  }
  return keys.size() - missing.size();
}

}  // namespace

std::string score_inputs(Run& run) {
  Digest digest;
  for (std::int64_t round = 1; round <= run.recipe().score.rounds; ++round) {
    const std::vector<std::string> keys = score_keys(run, round);
    for (std::size_t i = 0; i < keys.size(); ++i)
      digest.add(score_path(run, i, round).filename().string()).add(keys[i]);
  }
  return digest.hex();
}

std::string run_score(Run& run) {
  const std::int64_t rounds = run.recipe().score.rounds;
  Digest digest;
  std::size_t reused = 0;
  for (std::int64_t round = 1; round <= rounds; ++round) {
    throw_if_interrupted();
    if (rounds > 1) spdlog::info("{:<8} round {} of {}", "score", round, rounds);
    reused += score_round(run, round, digest);
  }
  const std::size_t count = run.recipe().prune.size() * static_cast<std::size_t>(rounds);
  if (reused > 0) spdlog::info("{:<8} {} of {} score files are reused", "score", reused, count);
  return digest.hex();
}

}  // namespace espalier
