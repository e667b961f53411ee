// SPDX-License-Identifier: Apache-2.0
// Which of how many processes this is, from what a launcher left in the environment.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace espalier {

struct Launch {
  std::string launcher;  // "torchrun", "mpirun" or "srun"; empty: started by hand
  std::int64_t rank = 0, size = 1;
  std::int64_t local_rank = 0, local_size = 1;  // on this machine; the size is 1 where the launcher does not say
  bool has_mpi = false;                         // MPI's own variables are there
  // Where ranks meet, torchrun only (empty, 0: not given), and the same variables by hand beside another launcher.
  std::string master_address;
  std::int64_t master_port = 0;
  bool agent_store = false;  // the launcher keeps the store at that place, rank 0 is a client like the others
  std::string attempt;       // distinguishes restarts by the launcher
};

using Environment = std::function<const char*(const char*)>;  // as std::getenv

// torchrun (RANK, WORLD_SIZE, LOCAL_RANK), mpirun (OMPI_COMM_WORLD_*, or PMI_* of MPICH and its kin), srun
// (SLURM_PROCID and kin, inside a step alone: a batch script and a shell are one process). The innermost launcher
// counts: torchrun within mpirun or srun, mpirun within srun. Error when variables are missing, are no numbers, or
// contradict each other.
Launch read_launch(const Environment& environment);
const Launch& this_launch();  // of this process

// CPU threads that are this process's share of the machine: what it is allowed to run on, divided where the ranks of
// this machine share it.
std::int64_t share_of_cpus(const Launch& launch);

}  // namespace espalier
