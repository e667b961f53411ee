// SPDX-License-Identifier: Apache-2.0
#include "core/run/step_trace.hpp"

#include <torch/csrc/autograd/profiler_kineto.h>

#include <cstdlib>
#include <set>

#include "core/base/error.hpp"
#include "core/base/log.hpp"

namespace espalier {
namespace {

namespace profiler = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;
using torch::profiler::impl::ProfilerConfig;
using torch::profiler::impl::ProfilerState;

constexpr std::int64_t kWarmUp = 3, kTraced = 3;

void begin(c10::Device device) {
  std::set<ActivityType> activities{ActivityType::CPU};
  if (device.is_cuda()) activities.insert(ActivityType::CUDA);
  const ProfilerConfig config(ProfilerState::KINETO);
  profiler::prepareProfiler(config, activities);
  profiler::enableProfiler(config, activities, {at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION});
}

}  // namespace

StepTrace::~StepTrace() {
  if (runs_) profiler::disableProfiler();
}

void StepTrace::after_step() {
  ++steps_;
  if (steps_ == kWarmUp) {
    begin(device_);
    runs_ = true;
  } else if (steps_ == kWarmUp + kTraced) {
    runs_ = false;
    profiler::disableProfiler()->save(file_.string());
    if (!fs::exists(file_))
      fail("{}: cannot write the trace; expected a folder that can be written to", file_.string());
    spdlog::info("{}: the trace of {} steps", file_.string(), kTraced);
  }
}

std::optional<fs::path> wanted_trace() {
  const char* file = std::getenv("ESPALIER_TRACE");
  if (file == nullptr || *file == '\0') return std::nullopt;
  return fs::absolute(file);
}

}  // namespace espalier
