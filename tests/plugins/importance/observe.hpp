// SPDX-License-Identifier: Apache-2.0
// Feeding metrics by hand.
#pragma once

#include <vector>

#include <ATen/ATen.h>

#include "espalier/sdk/axis.hpp"
#include "espalier/sdk/metric.hpp"

namespace espalier {

inline Site site_of(std::int64_t units, std::int64_t channels = 1, std::uint64_t seed = 0) {
  return {.axis = "test", .layer = 0, .units = units, .channels = channels, .seed = seed};
}

inline void observe(ImportanceMetric& metric, const at::Tensor& input, const at::Tensor& output = {},
                    std::int64_t layer = 0) {
  metric.observe({.layer = layer, .unit = layer, .input = input, .output = output, .gradient = {}, .readers = {}});
}

// In micro-batches of `size` samples.
inline void observe_in_parts(ImportanceMetric& metric, const at::Tensor& all, std::int64_t size) {
  for (const at::Tensor& part : all.split(size)) observe(metric, part);
}

inline std::vector<float> list_of(const at::Tensor& scores) {
  const at::Tensor plain = scores.contiguous();
  return {plain.const_data_ptr<float>(), plain.const_data_ptr<float>() + plain.numel()};
}

inline AxisInfo axis_with(std::vector<Dim> dims, std::vector<Tap> taps, const char* name) {
  return {.name = name,
          .unit = "unit",
          .dims = std::move(dims),
          .shared = false,
          .taps = std::move(taps),
          .hugging_face_name = {},
          .megatron_name = {}};
}

}  // namespace espalier
