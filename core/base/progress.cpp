// SPDX-License-Identifier: Apache-2.0
#include "core/base/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "core/base/log.hpp"
#include "core/base/strings.hpp"

namespace espalier {

namespace {
bool enabled = true;
constexpr int kWidth = 24;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}
}  // namespace

void ProgressBar::disable() { enabled = false; }

ProgressBar::ProgressBar(std::string label, std::int64_t total, std::int64_t done)
    : label_(std::move(label)),
      total_(std::max<std::int64_t>(total, 1)),
      start_(done),
      done_(done),
      began_(std::chrono::steady_clock::now()),
      drawn_(began_),
      terminal_(isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() {
  if (enabled && terminal_) std::fputs("\r\033[K", stderr);
}

void ProgressBar::update(std::int64_t done, const std::string& note) {
  done_ = done;
  if (!enabled || seconds_since(drawn_) < (terminal_ ? 0.1 : 10.0)) return;
  drawn_ = std::chrono::steady_clock::now();
  draw(note);
}

double ProgressBar::eta() const {
  const std::int64_t steps = done_ - start_;
  return steps > 0 ? seconds_since(began_) / static_cast<double>(steps) * static_cast<double>(total_ - done_) : 0.0;
}

void ProgressBar::draw(const std::string& note) {
  const double share = std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0);
  const std::string left = done_ > start_ ? ", " + human_time(eta()) + " left" : "";
  const std::string tail =
      fmt::format("{:3.0f} % ({} of {}{}){}{}", 100 * share, done_, total_, left, note.empty() ? "" : "  ", note);
  if (!terminal_) {
    spdlog::info("{}: {}", label_, tail);
    return;
  }
  const int full = static_cast<int>(share * kWidth);
  fmt::print(stderr, "\r\033[K{} [{:=<{}}{:<{}}] {}", label_, "", full, "", kWidth - full, tail);
  std::fflush(stderr);
}

}  // namespace espalier
