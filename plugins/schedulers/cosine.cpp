// SPDX-License-Identifier: Apache-2.0
#include "cosine.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace espalier::plugins {

void CosineOptions::validate(OptionSource& source) const {
  if (min > peak) {
    source.problem("min", "min is above peak", to_text(detail::to_value(min)),
                   concat("at most ", to_text(detail::to_value(peak))));
  }
}

double CosineScheduler::at(const Progress& progress) const {
  double warmup = static_cast<double>(options_.warmup_steps);
  if (options_.warmup_tokens > 0) {
    const double run = static_cast<double>(std::max<std::int64_t>(progress.total_tokens, 1));
    warmup = static_cast<double>(options_.warmup_tokens) / run * static_cast<double>(progress.steps);
  }
  // The step that comes next is number `now` of 1 … steps: the first one is not wasted on a rate of 0, the last is at
  // min.
  const double now = static_cast<double>(progress.step + 1), steps = static_cast<double>(progress.steps);
  if (now < warmup) return options_.peak * now / warmup;
  if (steps <= warmup) return options_.peak;
  const double share = std::clamp((now - warmup) / (steps - warmup), 0.0, 1.0);
  return options_.min + (options_.peak - options_.min) * 0.5 * (1.0 + std::cos(std::numbers::pi * share));
}

}  // namespace espalier::plugins
