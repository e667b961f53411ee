// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/schedule.hpp"

#include <doctest/doctest.h>

using espalier::Capacity;
using espalier::next_run;
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
  CHECK(next_run(statuses("pppp"), memory, order, {2, 100}) == 0);
  CHECK(next_run(statuses("rppp"), memory, order, {2, 100}) == 1);
  CHECK(!next_run(statuses("rrpp"), memory, order, {2, 100}));
  CHECK(!next_run(statuses("rrpp"), memory, order, {4, 100}));  // 40 + 40 + 30 > 100
  CHECK(next_run(statuses("rrpp"), memory, order, {4, 110}) == 2);
  CHECK(next_run(statuses("rdpp"), memory, order, {4, 70}) == 2);
  CHECK(!next_run(statuses("rddp"), memory, order, {4, 100}));
  CHECK(!next_run(statuses("dfdf"), memory, order, {4, 100}));
}

TEST_CASE("a small run goes ahead of one that must wait, and the largest runs alone") {
  const std::vector<std::int64_t> memory = {60, 90, 30};
  CHECK(next_run(statuses("rpp"), memory, {0, 1, 2}, {3, 100}) == 2);
  CHECK(next_run(statuses("dpd"), memory, {0, 1, 2}, {3, 50}) == 1);
  CHECK(next_run(statuses("ppp"), memory, {2, 0, 1}, {3, 100}) == 2);
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
