// SPDX-License-Identifier: Apache-2.0
// Time and memory of the chunked distillation head alone; kd_head_eager.py is the same in eager PyTorch.
//
//   kd_head_bench VOCAB HIDDEN_STUDENT HIDDEN_TEACHER ROWS CHUNK REPEATS [cpu|cuda]     CHUNK 0: the default
//
// float32 on the CPU, bfloat16 on a GPU. Prints one JSON object: seconds of each call, bytes of memory that the calls
// added to the peak, the loss.
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
#include "core/run/device.hpp"
#include "core/train/kd_head.hpp"
#include "core/train/memory.hpp"
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
  if (count != 7 && count != 8) {
    std::fputs("kd_head_bench VOCAB HIDDEN_STUDENT HIDDEN_TEACHER ROWS CHUNK REPEATS [cpu|cuda]\n", stderr);
    return 2;
  }
  const auto number = [&](int i) { return std::strtoll(values[i], nullptr, 10); };
  const std::int64_t vocab = number(1), student = number(2), teacher = number(3), rows = number(4);
  const espalier::Compute compute = espalier::open_device(count > 7 ? values[7] : "cpu");
  const bool gpu = compute.device.is_cuda();
  const auto there = [&](const at::Tensor& x) { return x.to(compute.device, compute.dtype); };
  espalier::HeadInput in;
  in.student_hidden = there(wave(rows, student, 0.7071, 1.0));
  in.teacher_hidden = there(wave(rows, teacher, 0.5003, 1.0));
  in.student_weight = there(wave(vocab, student, 1.3007, 4.0 / std::sqrt(static_cast<double>(student))));
  in.teacher_weight = there(wave(vocab, teacher, 1.1003, 4.0 / std::sqrt(static_cast<double>(teacher))));
  in.labels = at::arange(rows, at::kLong).mul(7919).remainder(vocab).to(compute.device);
  in.scale = 1.0 / static_cast<double>(rows);
  in.chunk = number(5) > 0 ? number(5) : espalier::default_head_chunk(vocab, compute.device);
  at::Tensor weight_gradient = at::zeros({vocab, student}, in.student_weight.options().dtype(at::kFloat));

  espalier::Registry registry;
  const auto losses = espalier::bench::make_losses(registry, {"kl"});
  espalier::HeadWorkspace workspace;
  const std::int64_t before = gpu ? espalier::peak_device_bytes(compute.device) : resident_bytes();
  nlohmann::json result;
  for (std::int64_t i = 0; i <= number(6); ++i) {
    const Clock::time_point start = Clock::now();
    const espalier::HeadOutput output = distillation_head(in, losses, weight_gradient, &workspace);
    const double norm = output.hidden_gradient.norm().item<double>();  // a GPU is done when it is known
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (i > 0) result["seconds"].push_back(seconds);  // the first one warms up
    result["loss"] = output.losses[0].item<double>();
    result["gradient"] = norm;
  }
  const std::int64_t peak = gpu ? espalier::peak_device_bytes(compute.device) : espalier::peak_resident_bytes();
  result["peak_bytes"] = peak - before;
  std::printf("%s\n", result.dump().c_str());
  return 0;
}
