// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "core/importance/job.hpp"
#include "core/importance/units.hpp"

namespace espalier {

// The metric's instances of one job, one for each place where its units are seen.
class Sites {
 public:
  Sites(const ScoreJob& job, const ModelSpec& spec, std::uint64_t seed);
  const ScoreJob& job() const { return job_; }
  const Needs& needs() const { return needs_; }

  // Units of a run that is scored as one; 1: units are scored one by one.
  std::int64_t run() const { return run_; }
  // What is scored in a layer (-1: in the whole model): its units, or the runs of them.
  std::int64_t units(std::int64_t layer) const;

  // The instance of a place, begun on first use. Layer -1: the whole model. `occurrence`: a tap that a layer passes
  // twice is two places.
  ImportanceMetric& at(std::int64_t layer, std::int64_t occurrence, std::int64_t channels);
  bool has(std::int64_t layer, std::int64_t occurrence) const { return metrics_.contains({layer, occurrence}); }

  // Every place's finished scores, checked; those of one layer (of an axis that all layers share: all of them) added
  // up. Throws Error naming metric and plugin when a score is not what the contract says.
  Scores finish();

 private:
  at::Tensor checked(const ImportanceMetric& metric, std::int64_t layer) const;
  at::Tensor sum_of(std::int64_t layer);

  const ScoreJob& job_;
  const ModelSpec& spec_;
  std::uint64_t seed_;
  Needs needs_;
  std::int64_t run_ = 1;
  std::map<std::pair<std::int64_t, std::int64_t>, std::unique_ptr<ImportanceMetric>> metrics_;
};

}  // namespace espalier
