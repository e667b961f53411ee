// SPDX-License-Identifier: Apache-2.0
#include "core/comm/launch.hpp"

#include <doctest/doctest.h>

#include <map>

#include "core/base/error.hpp"
#include "core/comm/comm.hpp"

namespace {

using espalier::Launch;

using Variables = std::map<std::string, std::string>;

Launch read(const Variables& variables) {
  return espalier::read_launch([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

const Variables kTorchrun = {{"RANK", "5"},
                             {"WORLD_SIZE", "8"},
                             {"LOCAL_RANK", "1"},
                             {"LOCAL_WORLD_SIZE", "4"},
                             {"MASTER_ADDR", "node0"},
                             {"MASTER_PORT", "29500"},
                             {"TORCHELASTIC_RUN_ID", "none"},
                             {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                             {"TORCHELASTIC_RESTART_COUNT", "2"}};
const Variables kMpirun = {{"OMPI_COMM_WORLD_RANK", "1"},
                           {"OMPI_COMM_WORLD_SIZE", "2"},
                           {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                           {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
const Variables kSrun = {{"SLURM_PROCID", "3"},  {"SLURM_NTASKS", "16"}, {"SLURM_STEP_NUM_TASKS", "4"},
                         {"SLURM_LOCALID", "1"}, {"SLURM_STEP_ID", "0"}, {"SLURM_TASKS_PER_NODE", "2(x2)"}};

Variables with(Variables variables, const Variables& more) {
  for (const auto& [name, value] : more) variables[name] = value;
  return variables;
}

Variables without(Variables variables, const std::string& name) {
  variables.erase(name);
  return variables;
}

}  // namespace

TEST_CASE("without a launcher there is one rank") {
  const Launch launch = read({{"PATH", "/bin"}, {"MASTER_ADDR", "left over"}});
  CHECK(launch.launcher.empty());
  CHECK(launch.rank == 0);
  CHECK(launch.size == 1);
}

TEST_CASE("each launcher is read by its own variables") {
  const Launch torchrun = read(kTorchrun);
  CHECK(torchrun.launcher == "torchrun");
  CHECK(torchrun.rank == 5);
  CHECK(torchrun.size == 8);
  CHECK(torchrun.local_rank == 1);
  CHECK(torchrun.local_size == 4);
  CHECK(torchrun.master_address == "node0");
  CHECK(torchrun.master_port == 29500);
  CHECK(torchrun.agent_store);
  CHECK(torchrun.attempt == "2");
  CHECK_FALSE(torchrun.has_mpi);

  const Launch mpirun = read(kMpirun);
  CHECK(mpirun.launcher == "mpirun");
  CHECK(mpirun.rank == 1);
  CHECK(mpirun.size == 2);
  CHECK(mpirun.local_rank == 1);
  CHECK(mpirun.has_mpi);

  const Launch hydra = read({{"PMI_RANK", "2"}, {"PMI_SIZE", "3"}, {"MPI_LOCALRANKID", "2"}});
  CHECK(hydra.launcher == "mpirun");
  CHECK(hydra.rank == 2);
  CHECK(hydra.size == 3);

  const Launch srun = read(kSrun);
  CHECK(srun.launcher == "srun");
  CHECK(srun.rank == 3);
  CHECK(srun.size == 4);  // of the step, not of the job
  CHECK(srun.local_rank == 1);
  CHECK(srun.local_size == 1);
  CHECK(read(with(kSrun, {{"SLURM_STEP_NUM_NODES", "1"}})).local_size == 4);
}

TEST_CASE("the innermost launcher counts, and a job's shell is one process") {
  CHECK(read(with(kTorchrun, kSrun)).size == 8);
  CHECK(read(with(kTorchrun, kMpirun)).launcher == "torchrun");  // torchrun on each machine, by mpirun
  CHECK(read(with(kMpirun, kSrun)).launcher == "mpirun");
  CHECK(read(without(kSrun, "SLURM_STEP_ID")).size == 1);
  CHECK(read(without(kSrun, "SLURM_STEP_NUM_TASKS")).size == 16);
  // torchrun's names given by hand beside mpirun's: mpirun's, with the place to meet.
  const Launch both =
      read(with(kMpirun, {{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "1"}, {"MASTER_ADDR", "a"}}));
  CHECK(both.launcher == "mpirun");
  CHECK(both.master_address == "a");
}

TEST_CASE("contradictions of the environment are told") {
  CHECK_THROWS_WITH(read(with(kMpirun, {{"RANK", "0"}, {"WORLD_SIZE", "4"}, {"LOCAL_RANK", "0"}})),
                    "environment: two launchers contradict each other; got rank 0 of 4 (RANK, WORLD_SIZE) and rank 1 "
                    "of 2 (mpirun); expected one launcher");
  CHECK_THROWS_WITH(read({{"RANK", "0"}}),
                    "environment: RANK is set without WORLD_SIZE; expected both of them, as torchrun sets them");
  CHECK_THROWS_WITH(read(without(kMpirun, "OMPI_COMM_WORLD_RANK")),
                    "environment: OMPI_COMM_WORLD_SIZE is set without OMPI_COMM_WORLD_RANK; expected both of them, as "
                    "mpirun sets them");
  CHECK_THROWS_WITH(read(without(kTorchrun, "LOCAL_RANK")),
                    "environment: RANK is set without LOCAL_RANK; got 5 of 8; expected the rank on this machine, which "
                    "chooses the device");
  CHECK_THROWS_WITH(read(with(kTorchrun, {{"RANK", "8"}})),
                    "environment: RANK and WORLD_SIZE contradict each other; got 8 of 8; expected 0 to 7");
  CHECK_THROWS_WITH(read(with(kTorchrun, {{"LOCAL_RANK", "4"}})),
                    "environment: LOCAL_RANK and LOCAL_WORLD_SIZE contradict each other; got 4 of 4; expected 0 to 3");
  CHECK_THROWS_WITH(read(with(kTorchrun, {{"WORLD_SIZE", "eight"}})),
                    "environment: WORLD_SIZE is not a number; got 'eight'; expected 0 or more");
  CHECK_THROWS_WITH(read(with(kTorchrun, {{"RANK", "-1"}})),
                    "environment: RANK is not a number; got '-1'; expected 0 or more");
  CHECK_THROWS_WITH(read(with(kTorchrun, {{"WORLD_SIZE", "0"}})),
                    "environment: WORLD_SIZE is out of range; got 0; expected 1 or more");
  CHECK_THROWS_WITH(read(with(kTorchrun, {{"MASTER_PORT", "70000"}})),
                    "environment: MASTER_PORT is out of range; got 70000; expected 1 to 65535");
}

TEST_CASE("ranks of torchrun have no way to speak on the CPU, which is told with the way that works") {
  CHECK_THROWS_WITH_AS(espalier::open_comm(read(kTorchrun), at::kCPU),
                       "--device cpu: ranks on the CPU speak MPI, which torchrun does not start; got 8 ranks from "
                       "torchrun; expected mpirun -n 8 espalier … or srun -n 8 espalier …",
                       espalier::RecipeError);
  CHECK(espalier::open_comm(read(with(kTorchrun, {{"RANK", "0"}, {"WORLD_SIZE", "1"}, {"LOCAL_RANK", "0"}})), at::kCPU)
            ->alone());
}
