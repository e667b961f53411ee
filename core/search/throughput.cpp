// SPDX-License-Identifier: Apache-2.0
#include "core/search/throughput.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <chrono>

namespace espalier {

double tokens_per_second(WeightSource& weights, std::int64_t batch, std::int64_t seq_length) {
  const at::NoGradGuard no_grad;
  const at::Tensor tokens = at::arange(batch * seq_length, at::device(weights.compute().device).dtype(at::kLong))
                                .remainder(weights.spec().vocab)
                                .view({batch, seq_length});
  const auto pass = [&] {
    const at::Tensor last = hidden_states(weights, tokens).select(1, seq_length - 1);
    logits(weights.outer(), last).sum().item<double>();  // waits for the device
  };
  pass();
  std::array<double, 3> seconds{};
  for (double& second : seconds) {
    const auto start = std::chrono::steady_clock::now();
    pass();
    second = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  std::sort(seconds.begin(), seconds.end());
  return static_cast<double>(batch * seq_length) / std::max(seconds[1], 1e-9);
}

}  // namespace espalier
