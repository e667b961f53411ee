// SPDX-License-Identifier: Apache-2.0
// Ranks that end in the way that the command line says: HOW RANK. The others wait for rank 0 in a call.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <thread>

#include "core/base/error.hpp"
#include "core/comm/rank_watch.hpp"

namespace {

using namespace espalier;

void act(const std::string& how, bool acts, Comm& comm) {
  if (!acts) {
    comm.barrier();
    return;
  }
  if (how == "killed") std::raise(SIGKILL);
  if (how == "error") throw Error("the disk is full");
  if (how == "recipe") throw RecipeError("recipe.toml:1:2: error: no such key");
  comm.barrier();
}

}  // namespace

int main(int, char** argv) {
  const std::string how = argv[1];
  const Launch& launch = this_launch();
  const std::unique_ptr<Comm> comm = open_comm(launch, at::kCPU);
  RankWatch watch(*comm, launch, [&](const std::string& text) {
    std::fprintf(stderr, "[%d] error: %s\n", static_cast<int>(launch.rank), text.c_str());
  });
  try {
    // "everywhere": the same error on all ranks at once.
    act(how == "everywhere" ? "error" : how, how == "everywhere" || std::to_string(launch.rank) == argv[2], *comm);
    watch.leave();
  } catch (const RecipeError& error) {
    watch.end_all(error.what(), 2);
  } catch (const std::exception& error) {
    watch.end_all(error.what(), 1);
  }
  std::printf("rank %d is done\n", static_cast<int>(launch.rank));
}
