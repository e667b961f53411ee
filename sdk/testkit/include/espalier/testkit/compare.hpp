// SPDX-License-Identifier: Apache-2.0
// Numbers for tests: from a seed, compared, and printed.
#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "espalier/sdk/error.hpp"

namespace espalier::testkit {

// Standard normal float32, a function of shape and seed.
inline at::Tensor normal(at::IntArrayRef shape, std::uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions(at::kFloat));
}

inline bool all_finite(const at::Tensor& tensor) { return at::isfinite(tensor).all().item<bool>(); }

// Largest difference as a share of the largest expected number; infinite for other shapes and for NaN.
inline double difference(const at::Tensor& got, const at::Tensor& expected) {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  if (got.defined() != expected.defined()) return kNever;
  if (!got.defined() || (got.sizes() == expected.sizes() && got.numel() == 0)) return 0.0;
  if (got.sizes() != expected.sizes()) return kNever;
  const at::Tensor a = got.to(at::kCPU, at::kDouble), b = expected.to(at::kCPU, at::kDouble);
  const double apart = (a - b).abs().max().item<double>(), largest = b.abs().max().item<double>();
  if (apart == 0.0) return 0.0;
  const double share = apart / (largest > 0.0 ? largest : 1.0);
  return share == share ? share : kNever;
}

inline std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

// The first numbers of a tensor, and its shape when there are more.
inline std::string brief(const at::Tensor& tensor) {
  if (!tensor.defined()) return "no tensor";
  constexpr std::int64_t kShown = 6;
  const at::Tensor flat = tensor.detach().to(at::kCPU, at::kDouble).flatten();
  std::string text = "[";
  for (std::int64_t i = 0; i < std::min(kShown, flat.numel()); ++i) {
    char number[32];
    const double value = flat[i].item<double>();
    std::snprintf(number, sizeof number, "%.7g", value);
    text += concat(i == 0 ? "" : ", ", value == value ? number : "nan");  // never "-nan"
  }
  return text + (flat.numel() > kShown ? concat(", ...] of shape ", tensor.sizes()) : "]");
}

inline std::string listed(const std::vector<std::int64_t>& numbers) {
  std::string text;
  for (const std::int64_t number : numbers) text += concat(text.empty() ? "" : ", ", number);
  return "[" + text + "]";
}

}  // namespace espalier::testkit
