// SPDX-License-Identifier: Apache-2.0
#include "core/data/tokenizer_process.hpp"

#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "core/base/error.hpp"
#include "tokenize_script.hpp"

extern char** environ;

namespace espalier {

namespace {
constexpr std::uint64_t kLargestReply = std::uint64_t{1} << 34;

// Where the loader found LibTorch, or "".
fs::path torch_library() {
  void* handle = ::dlopen("libtorch_cpu.so", RTLD_LAZY | RTLD_NOLOAD);
  if (handle == nullptr) return {};
  link_map* library = nullptr;
  const bool known = ::dlinfo(handle, RTLD_DI_LINKMAP, &library) == 0 && library != nullptr;
  fs::path path = known ? library->l_name : "";
  ::dlclose(handle);
  return path;
}

}  // namespace

std::string worker_python() {
  const char* chosen = std::getenv("ESPALIER_PYTHON");
  if (chosen != nullptr && *chosen != '\0') return chosen;
  for (fs::path folder = torch_library(); folder.has_relative_path(); folder = folder.parent_path()) {
    std::error_code error;
    if (fs::exists(folder / "pyvenv.cfg", error)) return (folder / "bin/python").string();
  }
  return "python3";
}

TokenizerProcess::TokenizerProcess(fs::path tokenizer_json)
    : json_(std::move(tokenizer_json)), python_(worker_python()) {
  start();
  reply();
}

TokenizerProcess::Child::~Child() {
  if (socket >= 0) ::close(socket);
  if (process <= 0) return;
  ::kill(process, SIGKILL);  // it has nothing to save
  while (::waitpid(process, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void TokenizerProcess::start() {
  // A socket and not pipes, because writing to a dead worker must not raise SIGPIPE.
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    fail("{}: tokenizer cannot be started; got {}", python_, std::strerror(errno));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::string program = python_, isolated = "-I", command = "-c", script = kTokenizeScript, json = json_.string();
  std::array<char*, 6> arguments = {program.data(), isolated.data(), command.data(),
                                    script.data(),  json.data(),     nullptr};
  const int error = ::posix_spawnp(&child_.process, program.c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  child_.socket = ends[0];
  if (error == 0) return;
  child_.process = -1;
  fail(
      "{}: tokenizer cannot be started; got {}; expected a Python with the package 'tokenizers' (setup.sh makes one, "
      "ESPALIER_PYTHON names another)",
      python_, std::strerror(error));
}

std::string TokenizerProcess::ask(std::string_view request) {
  const std::uint64_t size = request.size();
  send({reinterpret_cast<const char*>(&size), sizeof size});
  send(request);
  return reply();
}

void TokenizerProcess::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(child_.socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) fail_dead();
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void TokenizerProcess::receive(char* to, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t got = ::recv(child_.socket, to, bytes, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) fail_dead();
    to += got;
    bytes -= static_cast<std::size_t>(got);
  }
}

std::string TokenizerProcess::reply() {
  std::uint64_t size = 0;
  receive(reinterpret_cast<char*>(&size), sizeof size);
  if (size < 1 || size > kLargestReply) fail("{}: tokenizer answers nonsense; got a frame of {} bytes", python_, size);
  char status = 0;
  receive(&status, 1);
  std::string payload(size - 1, '\0');
  receive(payload.data(), payload.size());
  if (status != 0) fail("{}: tokenizer failed; {}", json_.string(), payload);
  return payload;
}

void TokenizerProcess::fail_dead() {
  int status = 0;
  ::shutdown(child_.socket, SHUT_RDWR);
  while (::waitpid(child_.process, &status, 0) < 0 && errno == EINTR) {
  }
  child_.process = -1;
  if (WIFSIGNALED(status)) fail("{}: tokenizer died; got signal {}", python_, WTERMSIG(status));
  fail("{}: tokenizer ended too early; got exit code {}", python_, WEXITSTATUS(status));
}

}  // namespace espalier
