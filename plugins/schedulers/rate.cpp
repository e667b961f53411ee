// SPDX-License-Identifier: Apache-2.0
#include "rate.hpp"

#include <algorithm>

namespace espalier::plugins {

void PeakToMinOptions::validate(OptionSource& source) const {
  if (min > peak) {
    source.problem("min", "min is above peak", to_text(detail::to_value(min)),
                   concat("at most ", to_text(detail::to_value(peak))));
  }
}

double Position::share_after(double start) const {
  const double from = std::max(start, warmup);
  return steps <= from ? 0.0 : std::clamp((now - from) / (steps - from), 0.0, 1.0);
}

Position WarmedUpScheduler::position(const Progress& progress) const {
  const double steps = static_cast<double>(progress.steps);
  double warmup = static_cast<double>(warmup_.steps);
  if (warmup_.tokens > 0) {
    const double run = static_cast<double>(std::max<std::int64_t>(progress.total_tokens, 1));
    warmup = static_cast<double>(warmup_.tokens) / run * steps;
  }
  return {static_cast<double>(progress.step + 1), warmup, steps};
}

double WarmedUpScheduler::at(const Progress& progress) const {
  const Position at = position(progress);
  return at.now < at.warmup ? peak_ * at.now / at.warmup : after_warmup(at);
}

}  // namespace espalier::plugins
