// SPDX-License-Identifier: Apache-2.0
// Writers that die: killed at any moment, or out of space. Each dies in a child process of its own.
#include <ATen/ATen.h>
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "core/base/error.hpp"
#include "core/base/random.hpp"
#include "core/checkpoint/checkpoint.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/checkpoint/raw_file.hpp"
#include "tests/core/checkpoint/tiny_checkpoint.hpp"

namespace espalier {
namespace {

// The child calls `work` and ends with what it returns.
template <class Work>
pid_t in_child(const Work& work) {
  const pid_t child = fork();
  if (child == 0) _exit(work());
  REQUIRE(child > 0);
  return child;
}

int status_of(pid_t child) {
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return status;
}

void write_until(const fs::path& folder, std::size_t tensors) {
  const ModelSpec spec = tiny_spec();
  CheckpointWriter writer(folder, spec, tiny_config(spec), at::kFloat, 600);
  for (std::size_t i = 0; i < tensors; ++i) writer.write(tiny_weight(writer.parameters()[i], 1));
  raise(SIGKILL);
}

std::size_t entries(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("a writer that is killed leaves the old checkpoint, and the next writer cleans up") {
  const Scratch scratch;
  write_tiny(scratch / "m");
  const std::string old = Checkpoint(scratch / "m").digest();
  for (const std::size_t tensors : {0, 1, 7, 20, 21}) {
    const int status = status_of(in_child([&] {
      write_until(scratch / "m", tensors);
      return 0;
    }));
    REQUIRE(WIFSIGNALED(status));
    CHECK(Checkpoint(scratch / "m").digest() == old);
    CHECK(entries(scratch.folder()) == 2);  // the checkpoint and what the dead writer left
  }
  write_tiny(scratch / "m", tiny_spec(), at::kFloat, 600, 1);
  CHECK(Checkpoint(scratch / "m").digest() != old);
  CHECK(entries(scratch.folder()) == 1);
}

TEST_CASE("killed at any moment there is one whole checkpoint, the old or the new") {
  const Scratch scratch;
  write_tiny(scratch / "a", tiny_spec(), at::kFloat, 600, 1);
  write_tiny(scratch / "b", tiny_spec(), at::kFloat, 1 << 20, 2);
  const std::string a = Checkpoint(scratch / "a").digest(), b = Checkpoint(scratch / "b").digest();
  write_tiny(scratch / "m", tiny_spec(), at::kFloat, 600, 1);
  for (std::uint64_t round = 0; round < 25; ++round) {
    const pid_t child = in_child([&] {
      for (;;) {
        write_tiny(scratch / "m", tiny_spec(), at::kFloat, 600, 1);
        write_tiny(scratch / "m", tiny_spec(), at::kFloat, 1 << 20, 2);
      }
      return 0;
    });
    std::this_thread::sleep_for(std::chrono::microseconds(1000 + mix(round) % 30000));
    kill(child, SIGKILL);
    CHECK(WIFSIGNALED(status_of(child)));
    const std::string found = Checkpoint(scratch / "m").digest();
    CHECK((found == a || found == b));
  }
  write_tiny(scratch / "m");
  CHECK(entries(scratch.folder()) == 3);
}

TEST_CASE("a full disk is one clear Error and leaves nothing") {
  const Scratch scratch;
  // The limit on the size of a file stands for the disk: reserving the space meets it in the same call.
  const int status = status_of(in_child([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{.rlim_cur = 4000, .rlim_max = RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    const std::string message = message_of([&] { write_tiny(scratch / "m"); });
    const std::string expected = (scratch.folder() / ".m.partial" / "model.safetensors").string() +
                                 ": cannot reserve the space; got File too large";
    if (message == expected) return 0;
    write(STDERR_FILENO, message.data(), message.size());
    return 1;
  }));
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(fs::is_empty(scratch.folder()));
}

TEST_CASE("a disk that is too small is found before anything is written") {
  const Scratch scratch;
  ModelSpec spec = tiny_spec();
  spec.vocab = 2147483647;
  spec.hidden = 1 << 24;
  const std::string message =
      message_of([&] { CheckpointWriter(scratch / "m", spec, nlohmann::json::object(), at::kFloat, 1 << 30); });
  CAPTURE(message);
  CHECK(message.starts_with((scratch / "m").string() + ": not enough space on the disk; got "));
  CHECK(message.ends_with(" free; expected 288230 TB"));
  CHECK(fs::is_empty(scratch.folder()));
}

}  // namespace espalier
