// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/schedule.hpp"

#include <doctest/doctest.h>

using espalier::next_run;
using espalier::Placed;
using espalier::RunState;
using espalier::RunStatus;

namespace {

std::vector<RunStatus> statuses(const std::string& letters) {  // p, r, d, f
  std::vector<RunStatus> list;
  for (const char letter : letters) {
    list.push_back({letter == 'p'   ? RunState::pending
                    : letter == 'r' ? RunState::running
                    : letter == 'd' ? RunState::done
                                    : RunState::failed,
                    ""});
  }
  return list;
}

}  // namespace

TEST_CASE("as many runs at once as jobs and memory allow") {
  const std::vector<std::int64_t> memory = {40, 40, 30, 90};
  const std::vector<std::size_t> order = {0, 1, 2, 3};
  const auto next = [&](const std::string& letters, std::int64_t jobs, std::int64_t bytes) {
    const auto placed = next_run(statuses(letters), memory, order, {jobs, {bytes}});
    return placed ? static_cast<int>(placed->run) : -1;
  };
  CHECK(next("pppp", 2, 100) == 0);
  CHECK(next("rppp", 2, 100) == 1);
  CHECK(next("rrpp", 2, 100) == -1);
  CHECK(next("rrpp", 4, 100) == -1);  // 40 + 40 + 30 > 100
  CHECK(next("rrpp", 4, 110) == 2);
  CHECK(next("rdpp", 4, 70) == 2);
  CHECK(next("rddp", 4, 100) == -1);
  CHECK(next("dfdf", 4, 100) == -1);
}

TEST_CASE("a small run goes ahead of one that must wait, and the largest runs alone") {
  const std::vector<std::int64_t> memory = {60, 90, 30};
  CHECK(next_run(statuses("rpp"), memory, {0, 1, 2}, {3, {100}}) == Placed{2, 0});
  CHECK(next_run(statuses("dpd"), memory, {0, 1, 2}, {3, {50}}) == Placed{1, 0});
  CHECK(next_run(statuses("ppp"), memory, {2, 0, 1}, {3, {100}}) == Placed{2, 0});
}

TEST_CASE("runs spread over devices, the emptiest first") {
  const std::vector<std::int64_t> memory = {40, 40, 40, 70};
  const std::vector<std::size_t> order = {0, 1, 2, 3};
  std::vector<RunStatus> status = statuses("rppp");
  CHECK(next_run(status, memory, order, {4, {100, 100}}) == Placed{1, 1});
  status = statuses("rrpp"), status[1].device = 1;
  CHECK(next_run(status, memory, order, {4, {100, 100}}) == Placed{2, 0});
  CHECK(next_run(status, memory, order, {4, {70, 90}}) == Placed{2, 1});  // 40 + 40 > 70
  CHECK(!next_run(status, memory, order, {2, {100, 100}}));
  status = statuses("rrrp"), status[1].device = 1;
  CHECK(!next_run(status, memory, order, {4, {100, 100}}));
  CHECK(!next_run(status, memory, order, {4, {100, 100, 50}}));  // the third would refuse it, the others will have room
  CHECK(next_run(status, memory, order, {4, {60, 60, 65}}) == Placed{3, 2});  // alone on the largest
  CHECK(!next_run(statuses("dddp"), memory, order, {4, {}}));
}

TEST_CASE("every arm has its first seed before any has its second") {
  espalier::Sweep sweep;
  sweep.recipe.seeds = {7, 3};
  for (const char* arm : {"a", "b"}) {
    for (const std::uint64_t seed : sweep.recipe.seeds) {
      espalier::SweepRun run;
      run.arm = arm;
      run.seed = seed;
      sweep.runs.push_back(run);
    }
  }
  CHECK(espalier::order_of_runs(sweep) == std::vector<std::size_t>{0, 2, 1, 3});
}
