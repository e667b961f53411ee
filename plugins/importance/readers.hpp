// SPDX-License-Identifier: Apache-2.0
// What the metrics that weigh an input by the weights that read it have in common.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "espalier/sdk/metric.hpp"

namespace espalier::plugins {

// Of the weights that read each channel, (units × channels) float64: Σ|w| or Σw² over the outputs.
struct ReaderSums {
  at::Tensor absolute, square;
  double outputs = 0.0;  // how many weights read each channel
};
ReaderSums sum_readers(const at::Tensor& readers, const Site& site);

// (units × channels) → the sums over each unit's channels, as scores: float32 on the CPU.
at::Tensor over_channels(const at::Tensor& values, const Site& site);

}  // namespace espalier::plugins
