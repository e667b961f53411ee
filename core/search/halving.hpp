// SPDX-License-Identifier: Apache-2.0
// Which of n candidates is the best, for less than training all of them: rank by the loss before training, then train
// in rounds and keep the better part of each (arXiv 2407.14679, section 2.3 and figure 9: ranks settle with light
// training). Knows no model: the caller measures and trains.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace espalier {

struct HalvingPlan {
  std::int64_t top_k = 0;            // let into the first round by the loss before training; 0: all
  double keep = 0.5;                 // share of a round's candidates that goes on; at least one does
  std::vector<std::int64_t> rounds;  // tokens that a candidate trains for in each; empty: the first ranking decides
};

// What is known of one candidate.
struct Standing {
  std::optional<double> zero_shot;      // nll of the sliced view, before training
  std::vector<double> nll;              // after each round
  std::int64_t tokens = 0;              // trained on, of all rounds together
  std::optional<std::int64_t> dropped;  // after this round; 0: after the first ranking. none: kept to the end
  std::int64_t rank = 0;                // 1 is the winner; 0: not ranked yet
};

class Contest {
 public:
  virtual ~Contest() = default;
  virtual double zero_shot(std::size_t candidate) = 0;
  // Trains on, to `tokens` in total, and measures. `round` counts from 1.
  virtual double trained(std::size_t candidate, std::size_t round, std::int64_t tokens) = 0;
  virtual void changed(const std::vector<Standing>& standings) = 0;  // after each measurement: to be kept
  virtual void dropped(std::size_t candidate) = 0;                   // its training will not go on; may come twice
};

// Goes on from `standings` (all empty: from the start) to the end. A measurement that is there is not taken again, so
// that a search that was stopped ends with the same standings. Equal losses: the lower index is better. The last round
// is not run when one candidate is left before it.
void halve(const HalvingPlan& plan, std::vector<Standing>& standings, Contest& contest);

}  // namespace espalier
