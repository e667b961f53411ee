// SPDX-License-Identifier: Apache-2.0
// Two files of scores of one axis beside each other (metric_lab.hpp says what is compared).
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "core/report/lab_files.hpp"
#include "core/report/rank_statistics.hpp"

namespace espalier {

// A mean over what exists.
class MeanOf {
 public:
  void add(const std::optional<double>& value) {
    if (value) sum_ += *value, ++count_;
  }
  std::optional<double> value() const {
    return count_ > 0 ? std::optional(sum_ / static_cast<double>(count_)) : std::nullopt;
  }
  nlohmann::json to_json() const { return count_ > 0 ? nlohmann::json(*value()) : nlohmann::json(nullptr); }

 private:
  double sum_ = 0.0;
  std::int64_t count_ = 0;
};

// Spearman's rho of each layer; none where a layer does not tell its units apart. Layers of unequal size have none.
std::vector<std::optional<double>> layer_spearman(const LabScores& a, const LabScores& b);
std::optional<double> mean_spearman(const LabScores& a, const LabScores& b);
std::optional<double> mean_kendall(const LabScores& a, const LabScores& b);

// Of what the files with these numbers keep at a target. None when nothing is left to choose.
std::optional<Overlap> kept_overlap(const LabAxis& axis, const LabTarget& target, std::size_t a, std::size_t b);
std::optional<Overlap> chance_at(const LabTarget& target);

}  // namespace espalier
