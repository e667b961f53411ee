// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "core/ops/adamw.hpp"
#include "core/ops/arithmetic/adamw.hpp"

namespace espalier {

// The constants of one step, the same for every device.
inline arithmetic::AdamWNumbers adamw_numbers(const AdamWUpdate& update) {
  const double step = static_cast<double>(update.step);
  const auto f = [](double x) { return static_cast<float>(x); };
  return {.keep = f(1 - update.learning_rate * update.weight_decay),
          .beta1 = f(update.beta1),
          .rest1 = f(1 - update.beta1),
          .beta2 = f(update.beta2),
          .rest2 = f(1 - update.beta2),
          .rate = f(update.learning_rate / (1 - std::pow(update.beta1, step))),
          .correction = f(std::sqrt(1 - std::pow(update.beta2, step))),
          .eps = f(update.eps),
          .factor = f(update.factor)};
}

}  // namespace espalier
