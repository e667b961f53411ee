// SPDX-License-Identifier: Apache-2.0
#include "core/comm/launch.hpp"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <thread>

#include "core/base/error.hpp"

namespace espalier {
namespace {

// The numbers that one launcher gives, under its own names. The last two may be absent.
struct Names {
  const char *launcher, *rank, *size, *local_rank, *local_size;
};
constexpr Names kTorch{"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"};
constexpr Names kOpenMpi{"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
                         "OMPI_COMM_WORLD_LOCAL_SIZE"};
constexpr Names kHydra{"mpirun", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"};
constexpr Names kSlurm{"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", nullptr};

std::optional<std::int64_t> number(const Environment& environment, const char* name) {
  const char* text = environment(name);
  if (text == nullptr) return std::nullopt;
  std::int64_t value = 0;
  const char* end = text + std::strlen(text);
  const auto [stopped, error] = std::from_chars(text, end, value);
  if (error != std::errc() || stopped != end || value < 0)
    fail("environment: {} is not a number; got '{}'; expected 0 or more", name, text);
  return value;
}

void within(const char* what, std::int64_t rank, const char* of, std::int64_t size) {
  if (size < 1) fail("environment: {} is out of range; got {}; expected 1 or more", of, size);
  if (rank >= size)
    fail("environment: {} and {} contradict each other; got {} of {}; expected 0 to {}", what, of, rank, size,
         size - 1);
}

// Nothing when the launcher left neither of its two main variables.
std::optional<Launch> read(const Environment& environment, const Names& names) {
  const auto rank = number(environment, names.rank), size = number(environment, names.size);
  if (!rank && !size) return std::nullopt;
  if (!rank || !size) {
    fail("environment: {} is set without {}; expected both of them, as {} sets them", rank ? names.rank : names.size,
         rank ? names.size : names.rank, names.launcher);
  }
  within(names.rank, *rank, names.size, *size);
  Launch launch;
  launch.launcher = names.launcher;
  launch.rank = *rank;
  launch.size = *size;
  const auto local_rank = number(environment, names.local_rank);
  launch.local_rank = local_rank.value_or(0);
  if (!local_rank && *size > 1) {
    fail("environment: {} is set without {}; got {} of {}; expected the rank on this machine, which chooses the device",
         names.rank, names.local_rank, *rank, *size);
  }
  return launch;
}

void read_local_size(const Environment& environment, const Names& names, Launch& launch) {
  launch.local_size = number(environment, names.local_size).value_or(1);
  within(names.local_rank, launch.local_rank, names.local_size, launch.local_size);
}

std::optional<Launch> read_mpi(const Environment& environment) {
  for (const Names& names : {kOpenMpi, kHydra}) {
    std::optional<Launch> launch = read(environment, names);
    if (!launch) continue;
    launch->has_mpi = true;
    if (environment(names.local_size) != nullptr) read_local_size(environment, names, *launch);
    return launch;
  }
  return std::nullopt;
}

// A batch script and a shell of salloc carry the job's variables, but only the tasks of a step are ranks.
std::optional<Launch> read_slurm(const Environment& environment) {
  if (environment("SLURM_STEP_ID") == nullptr || environment("SLURM_PROCID") == nullptr) return std::nullopt;
  Names names = kSlurm;
  if (environment(names.size) == nullptr) names.size = "SLURM_NTASKS";
  std::optional<Launch> launch = read(environment, names);
  if (launch && number(environment, "SLURM_STEP_NUM_NODES") == 1) launch->local_size = launch->size;
  return launch;
}

std::optional<Launch> read_torch(const Environment& environment, const std::optional<Launch>& mpi) {
  std::optional<Launch> launch = read(environment, kTorch);
  if (!launch) return std::nullopt;
  if (environment(kTorch.local_size) != nullptr) read_local_size(environment, kTorch, *launch);
  // torchrun may well be started by mpirun, once on each machine: then its ranks are others. Set by hand they must
  // agree.
  const bool by_torchrun = environment("TORCHELASTIC_RUN_ID") != nullptr;
  if (!by_torchrun && mpi && (mpi->rank != launch->rank || mpi->size != launch->size)) {
    fail(
        "environment: two launchers contradict each other; got rank {} of {} (RANK, WORLD_SIZE) and rank {} of {} "
        "(mpirun); expected one launcher",
        launch->rank, launch->size, mpi->rank, mpi->size);
  }
  if (!by_torchrun && mpi) return mpi;  // mpirun, with torchrun's names beside its own
  const char* agent = environment("TORCHELASTIC_USE_AGENT_STORE");
  launch->agent_store = agent != nullptr && std::string(agent) == "True";
  const char* restarts = environment("TORCHELASTIC_RESTART_COUNT");
  launch->attempt = restarts != nullptr ? restarts : "0";
  return launch;
}

}  // namespace

Launch read_launch(const Environment& environment) {
  const std::optional<Launch> mpi = read_mpi(environment);
  std::optional<Launch> launch = read_torch(environment, mpi);
  if (!launch) launch = mpi;
  if (!launch) launch = read_slurm(environment);
  if (!launch) return {};
  const char* address = environment("MASTER_ADDR");
  launch->master_address = address != nullptr ? address : "";
  launch->master_port = number(environment, "MASTER_PORT").value_or(0);
  if (launch->master_port > 65535)
    fail("environment: MASTER_PORT is out of range; got {}; expected 1 to 65535", launch->master_port);
  return *launch;
}

const Launch& this_launch() {
  static const Launch launch = read_launch([](const char* name) { return std::getenv(name); });
  return launch;
}

std::int64_t share_of_cpus(const Launch& launch) {
  const auto all = std::max<std::int64_t>(1, std::thread::hardware_concurrency());
  cpu_set_t set;
  CPU_ZERO(&set);
  if (launch.size == 1 || ::sched_getaffinity(0, sizeof(set), &set) != 0) return all;
  // A launcher that binds its ranks has divided the machine already.
  const auto allowed = static_cast<std::int64_t>(CPU_COUNT(&set));
  return std::max<std::int64_t>(1, std::min(allowed, all / launch.local_size));
}

}  // namespace espalier
