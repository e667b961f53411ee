// SPDX-License-Identifier: Apache-2.0
// Time of forward, and of forward and backward, of the quick start's teacher; forward_eager.py is the same in eager
// PyTorch.
//
//   forward_bench STEPS THREADS
//
// Prints one JSON object: the best seconds of a pass over 4 × 256 tokens, by the clock of the process (all threads), so
// that a busy machine disturbs it less.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/randint.h>
#include <ATen/Parallel.h>

#include "core/forward/model.hpp"

namespace {

constexpr std::int64_t kBatch = 4, kSequence = 256, kVocab = 257;

espalier::ModelSpec teacher() {
  return espalier::spec_from_json({{"family", "llama"},
                                   {"layers", 6},
                                   {"hidden", 128},
                                   {"heads", 4},
                                   {"kv_groups", 2},
                                   {"head_dim", 32},
                                   {"ffn", 384},
                                   {"vocab", kVocab}},
                                  "bench");
}

template <class F>
double best_seconds(int steps, F step) {
  double best = 1e30;
  for (int i = 0; i < steps + 1; ++i) {  // the first warms up
    const std::clock_t begin = std::clock();
    step();
    const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    if (i > 0) best = std::min(best, seconds);
  }
  return best;
}

}  // namespace

int main(int count, char** values) {
  if (count != 3) {
    std::fprintf(stderr, "usage: forward_bench STEPS THREADS\n");
    return 2;
  }
  const int steps = std::atoi(values[1]);
  at::set_num_threads(std::atoi(values[2]));
  espalier::Model model(teacher(), 1, {at::kFloat, at::kCPU});
  const at::Tensor tokens = at::randint(0, kVocab, {kBatch, kSequence}, at::kLong);
  const auto logits = [&] { return espalier::logits(model.outer(), espalier::hidden_states(model, tokens)); };
  double forward = 0;
  {
    const at::NoGradGuard no_grad;
    forward = best_seconds(steps, logits);
  }
  model.set_requires_grad(true);
  const double both = best_seconds(steps, [&] {
    const at::Tensor rows = logits().narrow(1, 0, kSequence - 1).flatten(0, 1);
    at::cross_entropy_loss(rows, tokens.narrow(1, 1, kSequence - 1).flatten()).backward();
    for (at::Tensor& tensor : model.tensors()) tensor.mutable_grad().reset();
  });
  std::printf("{\"forward\": %.6f, \"forward_backward\": %.6f, \"tokens\": %lld}\n", forward, both,
              static_cast<long long>(kBatch * kSequence));
  return 0;
}
