// SPDX-License-Identifier: Apache-2.0
#include "core/run/gpu_memory.hpp"

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <sstream>
#include <string>

#include "core/base/error.hpp"
#include "core/ops/device_kernels.hpp"
#include "core/run/device.hpp"

namespace espalier {
namespace {

// "free free …", or "error: " with what is missing.
std::string answer() {
  if (const std::string problem = cuda_problem(); !problem.empty()) return "error: " + problem;
  std::ostringstream text;
  c10::DeviceAllocator& allocator = *c10::getDeviceAllocator(at::kCUDA);
  for (std::size_t i = 0; i < at::getNumGPUs(); ++i)
    text << allocator.getMemoryInfo(static_cast<c10::DeviceIndex>(i)).first << ' ';
  return text.str();
}

void write_all(int descriptor, const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t count = ::write(descriptor, text.data() + at, text.size() - at);
    if (count <= 0) return;
    at += static_cast<std::size_t>(count);
  }
}

std::string read_all(int descriptor) {
  std::string text;
  char part[512];
  for (ssize_t count; (count = ::read(descriptor, part, sizeof part)) != 0;) {
    if (count > 0) text.append(part, static_cast<std::size_t>(count));
    if (count < 0 && errno != EINTR) break;
  }
  return text;
}

// What a process of its own answers.
std::string asked() {
  int ends[2];
  if (::pipe(ends) != 0) fail("cannot ask for the GPUs' memory; got {}", std::strerror(errno));
  const pid_t process = ::fork();
  if (process == 0) {
    std::string text;
    try {
      text = answer();
    } catch (const std::exception& error) {
      text = std::string("error: ") + error.what();
    }
    write_all(ends[1], text);
    ::_exit(0);
  }
  const int reason = errno;
  ::close(ends[1]);
  const std::string text = process < 0 ? "" : read_all(ends[0]);
  ::close(ends[0]);
  if (process < 0) fail("cannot ask for the GPUs' memory; got {}", std::strerror(reason));
  while (::waitpid(process, nullptr, 0) < 0 && errno == EINTR) {
  }
  return text;
}

}  // namespace

std::vector<std::int64_t> free_bytes_of_gpus() {
  const bool open = kernels_of(at::Device(at::kCUDA, 0)) != nullptr;
  if (open) c10::getDeviceAllocator(at::kCUDA)->emptyCache();  // what was measured before
  const std::string text = open ? answer() : asked();
  if (text.starts_with("error: ")) fail("--device cuda: {}", text.substr(7));
  std::istringstream numbers(text);
  std::vector<std::int64_t> all;
  for (std::int64_t bytes; numbers >> bytes;) all.push_back(bytes);
  if (all.empty()) fail("--device cuda: the GPUs' memory is not known; got nothing from a process that asked for it");
  return all;
}

}  // namespace espalier
