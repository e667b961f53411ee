// SPDX-License-Identifier: Apache-2.0
// Time and memory of the chunked distillation head alone; kd_head_eager.py is the same in eager PyTorch.
//
//   kd_head_bench VOCAB HIDDEN_STUDENT HIDDEN_TEACHER ROWS CHUNK REPEATS     CHUNK 0: the default
//
// Prints one JSON object: seconds of each call, bytes of memory that the calls added to the peak, the loss.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>
#include <nlohmann/json.hpp>

#include "core/base/memory.hpp"
#include "core/train/kd_head.hpp"
#include "tests/bench/losses_of_plugin.hpp"

namespace {

using Clock = std::chrono::steady_clock;

// Numbers without a generator, so that every program can make the same.
at::Tensor wave(std::int64_t rows, std::int64_t columns, double pitch, double scale) {
  return at::arange(rows * columns, at::kDouble).mul_(pitch).sin_().mul_(scale).to(at::kFloat).view({rows, columns});
}

std::int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * 4096;
}

}  // namespace

int main(int count, char** values) {
  if (count != 7) {
    std::fputs("kd_head_bench VOCAB HIDDEN_STUDENT HIDDEN_TEACHER ROWS CHUNK REPEATS\n", stderr);
    return 2;
  }
  const auto number = [&](int i) { return std::strtoll(values[i], nullptr, 10); };
  const std::int64_t vocab = number(1), student = number(2), teacher = number(3), rows = number(4);
  espalier::HeadInput in;
  in.student_hidden = wave(rows, student, 0.7071, 1.0);
  in.teacher_hidden = wave(rows, teacher, 0.5003, 1.0);
  in.student_weight = wave(vocab, student, 1.3007, 4.0 / std::sqrt(static_cast<double>(student)));
  in.teacher_weight = wave(vocab, teacher, 1.1003, 4.0 / std::sqrt(static_cast<double>(teacher)));
  in.labels = at::arange(rows, at::kLong).mul(7919).remainder(vocab);
  in.scale = 1.0 / static_cast<double>(rows);
  in.chunk = number(5) > 0 ? number(5) : espalier::default_head_chunk(vocab, at::kCPU);
  at::Tensor weight_gradient = at::zeros({vocab, student});

  espalier::Registry registry;
  const auto losses = espalier::bench::make_losses(registry, {"kl"});
  espalier::HeadWorkspace workspace;
  const std::int64_t before = resident_bytes();
  nlohmann::json result;
  for (std::int64_t i = 0; i <= number(6); ++i) {
    const Clock::time_point start = Clock::now();
    const espalier::HeadOutput output = distillation_head(in, losses, weight_gradient, &workspace);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (i > 0) result["seconds"].push_back(seconds);  // the first one warms up
    result["loss"] = output.losses[0];
    result["gradient"] = output.hidden_gradient.norm().item<double>();
  }
  result["peak_bytes"] = espalier::peak_resident_bytes() - before;
  std::printf("%s\n", result.dump().c_str());
  return 0;
}
