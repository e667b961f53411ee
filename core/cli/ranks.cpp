// SPDX-License-Identifier: Apache-2.0
#include "core/cli/ranks.hpp"

#include <ATen/Context.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <iostream>

#include "core/base/error.hpp"
#include "core/comm/rank_watch.hpp"
#include "core/run/device.hpp"

namespace espalier {
namespace {

// Of the GPUs that this process sees. One that a scheduler has chosen for it is the only one.
Compute device_of_rank(const std::string& device, const Launch& launch) {
  const Compute compute = open_device(device);
  if (!compute.device.is_cuda() || launch.size == 1) return compute;
  const auto count = static_cast<std::int64_t>(at::getNumGPUs());
  const std::int64_t index = count == 1 ? 0 : launch.local_rank;
  if (index >= count) {
    fail("--device cuda: rank {} has no GPU of its own; got {} GPUs for local rank {}; expected one for each rank",
         launch.rank, count, launch.local_rank);
  }
  const Compute own = open_device(device, static_cast<int>(index));
  c10::impl::VirtualGuardImpl(c10::DeviceType::CUDA).setDevice(own.device);
  return own;
}

// As main prints what is thrown.
void say(const std::string& text) {
  const std::string line = (text.find("error: ") == std::string::npos ? "error: " : "") + text + "\n";
  std::cerr << line << std::flush;
}

}  // namespace

int on_all_ranks(const std::string& device, const std::function<int(Compute, Comm&)>& work) {
  const Launch& launch = this_launch();
  const Compute compute = device_of_rank(device, launch);
  const std::unique_ptr<Comm> comm = open_comm(launch, compute.device);
  if (comm->alone()) return work(compute, *comm);
  RankWatch watch(*comm, launch, say);
  try {
    const int code = work(compute, *comm);
    watch.leave();
    return code;
  } catch (const RecipeError& error) {
    watch.end_all(error.what(), 2);
  } catch (const std::exception& error) {
    watch.end_all(error.what(), 1);
  }
}

}  // namespace espalier
