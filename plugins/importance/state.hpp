// SPDX-License-Identifier: Apache-2.0
// What all metrics share: whom they can score, and how their accumulators travel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "espalier/sdk/axis.hpp"
#include "espalier/sdk/metric.hpp"

namespace espalier::plugins {

// For metrics of layers, and of parts and runs of them: throws RecipeError for any other axis.
void require_layers(const std::string& metric, const AxisInfo& axis);

// Accumulators are float64; they live where the evidence is, and travel as copies on the CPU.
at::Tensor zeros(std::int64_t size);

std::vector<at::Tensor> copy_state(const std::vector<at::Tensor>& state);

// A copy of `given` when it is shaped like `own`; throws Error naming the metric when it is not.
std::vector<at::Tensor> check_state(const std::string& metric, const std::vector<at::Tensor>& given,
                                    const std::vector<at::Tensor>& own);

}  // namespace espalier::plugins
