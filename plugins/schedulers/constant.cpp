// SPDX-License-Identifier: Apache-2.0
#include "constant.hpp"

namespace espalier::plugins {

double ConstantScheduler::at(const Progress& progress) const {
  const std::int64_t now = progress.step + 1;  // the number, from 1, of the step that comes next
  if (now >= options_.warmup_steps) return options_.peak;
  return options_.peak * static_cast<double>(now) / static_cast<double>(options_.warmup_steps);
}

}  // namespace espalier::plugins
