// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "core/report/verdict.hpp"
#include "core/stats/power.hpp"

namespace espalier {

enum class Outcome { better, worse, undecided };  // a, compared with b: less loss is better
const char* outcome_name(Outcome outcome);

struct Judgement {
  double difference = 0.0;          // a minus b, nats per token
  std::optional<double> low, high;  // none: nothing to learn an interval from
  double level = 0.95;              // of all comparisons together
  std::size_t comparisons = 1;
  bool covers_seeds = true, covers_documents = true;
  Needed needed;  // of an undecided one
  bool has_interval() const { return covers_seeds || covers_documents; }
  Outcome outcome() const;
};

// "width is better than depth by 0.031 nats per token (95 % interval 0.027 to 0.035, 3 seeds × 412 documents)"
std::string verdict_text(const Contrast& contrast, const Judgement& judgement);

}  // namespace espalier
