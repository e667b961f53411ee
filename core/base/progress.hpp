// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace espalier {

// Progress of long work: a bar with ETA on a terminal, a plain line at most every ten seconds elsewhere.
class ProgressBar {
 public:
  ProgressBar(std::string label, std::int64_t total, std::int64_t done = 0);
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar();  // clears the bar
  void update(std::int64_t done, const std::string& note = "");
  double eta() const;  // seconds; from the rate since construction

  static void disable();  // for --json and tests

 private:
  void draw(const std::string& note);
  std::string label_;
  std::int64_t total_, start_, done_;
  std::chrono::steady_clock::time_point began_, drawn_;
  bool terminal_;
};

}  // namespace espalier
