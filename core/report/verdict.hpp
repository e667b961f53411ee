// SPDX-License-Identifier: Apache-2.0
// Which of two arms is better, and by how much: a sentence with its interval, or that nobody can tell yet.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/report/arms.hpp"
#include "core/stats/components.hpp"

namespace espalier {

enum class Moment { before, after };  // distillation

// The losses of a minus those of b, ready to be judged.
struct Contrast {
  std::string a, b;
  Moment moment = Moment::after;
  Sample sample;
  std::size_t seeds_a = 1, seeds_b = 1;  // the fewest of a teacher
  bool paired = true;                    // by seed; false: the arms share none
  bool seeded = true;                    // false: models that no seed is known of
  std::size_t teachers = 1;
  bool general = false;  // teachers are the replicates: the statement is about teachers that were not tried, too
  std::optional<double> bits_per_nat;  // bits per byte ÷ nats per token, on these data
  bool is_one_model() const;           // no document tells a from b
};

// What there is to say about two arms at a moment: nothing where either has no losses by document; with two teachers or
// more a statement for these, with three or more another one for teachers in general.
std::vector<Contrast> contrasts_of(const Arm& a, const Arm& b, Moment moment);

// One entry of `verdicts` in comparison.json. `level` holds for all `comparisons` together.
nlohmann::json verdict_of(const Contrast& contrast, double level, std::size_t comparisons);

}  // namespace espalier
