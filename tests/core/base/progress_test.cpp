// SPDX-License-Identifier: Apache-2.0
#include "core/base/progress.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <thread>

TEST_CASE("the remaining time follows from the rate since the bar was made") {
  espalier::ProgressBar bar("steps", 101, 1);
  CHECK(bar.eta() == 0.0);  // nothing is known yet
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  bar.update(51);
  CHECK(bar.eta() >= 0.05);  // 50 steps took at least 0.05 s, 50 are left
  CHECK(bar.eta() < 5.0);
  bar.update(101);
  CHECK(bar.eta() == 0.0);
}

TEST_CASE("work that was done before the bar was made does not count as fast") {
  espalier::ProgressBar resumed("steps", 1000, 900);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  resumed.update(901);
  CHECK(resumed.eta() >= 99 * 0.05);
}
