// SPDX-License-Identifier: Apache-2.0
// Where the time of training steps goes: the operations, and on a GPU the kernels, of a few of them in one file.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <optional>

#include "core/base/files.hpp"

namespace espalier {

// Traces three steps, after three that warm up, with LibTorch's profiler (Kineto), and writes them as Chrome's trace
// format, which Perfetto and chrome://tracing open. Traced steps are slower, and their bytes are the same.
class StepTrace {
 public:
  StepTrace(fs::path file, c10::Device device) : file_(std::move(file)), device_(device) {}
  StepTrace(const StepTrace&) = delete;
  StepTrace& operator=(const StepTrace&) = delete;
  ~StepTrace();  // what was begun is dropped

  void after_step();

 private:
  fs::path file_;
  c10::Device device_;
  std::int64_t steps_ = 0;
  bool runs_ = false;
};

// The file that ESPALIER_TRACE names; nothing where it is not set.
std::optional<fs::path> wanted_trace();

}  // namespace espalier
