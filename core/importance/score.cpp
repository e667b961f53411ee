// SPDX-License-Identifier: Apache-2.0
#include "core/importance/score.hpp"

#include <memory>

#include <ATen/core/grad_mode.h>

#include "core/base/error.hpp"
#include "core/importance/passes.hpp"

namespace espalier {
namespace {

std::vector<Sites*> asking_for(const std::vector<std::unique_ptr<Sites>>& all, std::initializer_list<Evidence> kinds) {
  std::vector<Sites*> asking;
  for (const std::unique_ptr<Sites>& sites : all) {
    for (const Evidence kind : kinds) {
      if (sites && sites->needs().evidence == kind) asking.push_back(sites.get());
    }
  }
  return asking;
}

// Index of the first job with the same scores.
std::size_t first_like(const std::vector<ScoreJob>& jobs, std::size_t job) {
  std::size_t first = 0;
  while (!jobs[first].same_as(jobs[job])) ++first;
  return first;
}

}  // namespace

std::vector<Scores> score(WeightSource& weights, const std::vector<ScoreJob>& jobs,
                          const std::vector<TokenSource>& calibration, const ScoreOptions& options) {
  if (options.micro_batch < 1)
    reject("score.micro_batch is out of range; got {}; expected 1 or more", options.micro_batch);
  const at::NoGradGuard no_grad;
  std::vector<std::unique_ptr<Sites>> sites(jobs.size());  // none for a job that another one answers
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (first_like(jobs, i) == i) sites[i] = std::make_unique<Sites>(jobs[i], weights.spec(), options.seed);
  }
  const std::vector<Sites*> seen = asking_for(sites, {Evidence::activations, Evidence::block_io}),
                            differentiated = asking_for(sites, {Evidence::gradients}),
                            probed = asking_for(sites, {Evidence::probe});
  if (!seen.empty() || !differentiated.empty() || !probed.empty()) {
    const Calibration samples(calibration, options.seq_length, options.samples, options.seed, weights.spec().vocab);
    if (!seen.empty()) observe_activations(weights, seen, samples, options);
    if (!differentiated.empty()) observe_gradients(weights, differentiated, samples, options);
    if (!probed.empty()) observe_probes(weights, probed, samples, options);
  }
  if (const std::vector<Sites*> tried = asking_for(sites, {Evidence::task}); !tried.empty())
    observe_tasks(weights, tried, options);
  if (const std::vector<Sites*> weighed = asking_for(sites, {Evidence::weights}); !weighed.empty())
    observe_weights(weights, weighed);

  std::vector<Scores> scores;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const std::size_t first = first_like(jobs, i);
    scores.push_back(first == i ? sites[i]->finish() : scores[first]);
  }
  return scores;
}

}  // namespace espalier
