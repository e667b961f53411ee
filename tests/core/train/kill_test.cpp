// SPDX-License-Identifier: Apache-2.0
// Runs that are ended from outside, at any moment. The work happens in forked children: this process never computes,
// because a fork of a process whose thread pool has started would hang.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <thread>

#include <ATen/Parallel.h>
#include <doctest/doctest.h>

#include "core/base/interrupt.hpp"
#include "core/base/log.hpp"
#include "core/base/progress.hpp"
#include "tests/core/train/tiny_cache.hpp"
#include "tests/core/train/tiny_run.hpp"

namespace {

using namespace std::chrono_literals;
namespace fs = espalier::fs;
namespace reference = espalier::reference;

constexpr std::int64_t kSteps = 30;
constexpr int kDone = 0, kInterrupted = 3, kFailed = 4;

// Trains in a child process; its exit code, or −signal, comes from end_of().
pid_t start(const fs::path& folder, const std::function<void(std::int64_t)>& on_step) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  int code = kFailed;
  try {
    espalier::ProgressBar::disable();
    espalier::start_log("error");
    espalier::watch_signals();
    at::set_num_threads(1);
    reference::TinyRun run(folder, kSteps);
    run.job.plan.save_every = 2;
    run.job.on_step = on_step;
    espalier::train(run.job);
    code = kDone;
  } catch (const espalier::Interrupted&) {
    code = kInterrupted;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  ::_exit(code);
}

// Fills a cache of many small shards in a child process.
pid_t start_filling(const fs::path& folder) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  int code = kFailed;
  try {
    espalier::start_log("error");
    const reference::TinyRun run(folder / "run", kSteps);
    const reference::TinyCache cache(run, folder / "cache", 8, 100, at::kFloat, 1000);
    code = kDone;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  ::_exit(code);
}

// The names of a cache's shards with their contents.
std::string shards_in(const fs::path& folder) {
  std::string text;
  for (std::int64_t i = 0; fs::exists(espalier::TeacherCache::shard_path(folder, i)); ++i) {
    text += fmt::format("{}\n", i) + reference::bytes_of(espalier::TeacherCache::shard_path(folder, i));
  }
  return text;
}

int end_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

std::string undisturbed(const fs::path& folder) {
  REQUIRE(end_of(start(folder, {})) == kDone);
  return reference::outcome(folder, kSteps);
}

}  // namespace

TEST_CASE("a signal saves the finished step, and the next start goes on from it to the same bytes") {
  const reference::TemporaryFolder folder;
  const std::string expected = undisturbed(folder.path() / "whole");
  const fs::path stopped = folder.path() / "stopped";
  std::int64_t done = 0;
  for (const std::int64_t stride : {1, 2, 3, 7, 11}) {
    const auto stop = [done, stride](std::int64_t step) {
      if (step == done + stride) ::raise(stride % 2 == 0 ? SIGINT : SIGTERM);
    };
    REQUIRE(end_of(start(stopped, stop)) == kInterrupted);
    done += stride;
    CHECK(reference::bytes_of(stopped / "checkpoints" / "latest") == fmt::format("iter_{:07}\n", done));
    CHECK(reference::lines_of(stopped / "metrics.jsonl").size() == static_cast<std::size_t>(done));
  }
  REQUIRE(end_of(start(stopped, {})) == kDone);
  CHECK(reference::outcome(stopped, kSteps) == expected);
}

TEST_CASE("a full disk ends the run with an error and leaves the last checkpoint to go on from") {
  const reference::TemporaryFolder folder;
  const std::string expected = undisturbed(folder.path() / "whole");
  const fs::path full = folder.path() / "full";
  const auto fill_disk = [](std::int64_t step) {
    if (step != 5) return;
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{8192, 8192};  // enough for the log, too little for the weights
    ::setrlimit(RLIMIT_FSIZE, &limit);
  };
  REQUIRE(end_of(start(full, fill_disk)) == kFailed);
  CHECK(reference::bytes_of(full / "checkpoints" / "latest") == "iter_0000004\n");
  CHECK_FALSE(fs::exists(full / "checkpoints" / "iter_0000006"));
  REQUIRE(end_of(start(full, {})) == kDone);
  CHECK(reference::outcome(full, kSteps) == expected);
}

TEST_CASE("a run killed at twenty random moments ends with the same bytes") {
  const reference::TemporaryFolder folder;
  const std::string expected = undisturbed(folder.path() / "whole");
  const fs::path killed = folder.path() / "killed";
  const std::uint64_t seed = static_cast<std::uint64_t>(::getpid());
  CAPTURE(seed);
  int kills = 0;
  for (std::uint64_t attempt = 0; kills < 20 && attempt < 200; ++attempt) {
    // A run that got to its end is compared and begun anew: there are kills left.
    if (fs::exists(killed / "checkpoints" / fmt::format("iter_{:07}", kSteps))) {
      CHECK(reference::outcome(killed, kSteps) == expected);
      fs::remove_all(killed);
    }
    const pid_t child = start(killed, {});
    std::this_thread::sleep_for(1ms * static_cast<int>(20 + espalier::mix(seed, attempt) % 130));
    ::kill(child, SIGKILL);
    const int code = end_of(child);
    REQUIRE((code == -SIGKILL || code == kDone));
    kills += code == -SIGKILL ? 1 : 0;
  }
  CHECK(kills == 20);
  REQUIRE(end_of(start(killed, {})) == kDone);
  CHECK(reference::outcome(killed, kSteps) == expected);
}

TEST_CASE("a cache whose filling was killed again and again ends with the same bytes") {
  const reference::TemporaryFolder folder;
  REQUIRE(end_of(start_filling(folder.path() / "whole")) == kDone);
  const std::string expected = shards_in(folder.path() / "whole" / "cache");
  REQUIRE(fs::exists(espalier::TeacherCache::shard_path(folder.path() / "whole" / "cache", 20)));
  const fs::path killed = folder.path() / "killed";
  int halfway = 0;
  for (std::int64_t shard = 0; shard < 20; shard += 3) {
    const pid_t child = start_filling(killed);
    // Killed as soon as one shard more is there, wherever it then is in the next one.
    int status = 0;
    pid_t ended = 0;
    while (!fs::exists(espalier::TeacherCache::shard_path(killed / "cache", shard)) && ended == 0) {
      std::this_thread::sleep_for(100us);
      ended = ::waitpid(child, &status, WNOHANG);
    }
    REQUIRE(ended == 0);
    ::kill(child, SIGKILL);
    halfway += end_of(child) == -SIGKILL ? 1 : 0;
  }
  CHECK(halfway > 0);
  REQUIRE(end_of(start_filling(killed)) == kDone);
  CHECK(shards_in(killed / "cache") == expected);
  for (const auto& entry : fs::directory_iterator(killed / "cache")) {
    CHECK(entry.path().extension() == ".safetensors");  // no part of one is left
  }
}
