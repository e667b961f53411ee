// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/child.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <sstream>
#include <string_view>

#include "core/base/error.hpp"

namespace espalier {

namespace {

// Between fork and exec: only calls that are safe in a child of a process with threads.
[[noreturn]] void become(char* const* arguments, char* const* environment, int output, pid_t parent) {
  // A group of its own: Ctrl-C on the terminal reaches the sweep alone, which tells its runs once.
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);  // it died before the line above
  for (const int number : {SIGINT, SIGTERM, SIGXFSZ}) std::signal(number, SIG_DFL);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (nothing >= 0) ::dup2(nothing, STDIN_FILENO);
  ::execve("/proc/self/exe", arguments, environment);
  ::_exit(127);
}

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::string why(int status, const std::string& output) {
  const std::string told = last_error(output);
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    const char* name = ::strsignal(number);
    return fmt::format("ended by signal {} ({}){}", number, name == nullptr ? "?" : name,
                       number == SIGKILL ? "; the system does this when memory runs out" : "");
  }
  return told.empty() ? fmt::format("ended with exit code {}", WEXITSTATUS(status)) : told;
}

}  // namespace

std::vector<std::string> environment_with(const std::string& variable) {
  std::vector<std::string> all;
  const std::string name = variable.substr(0, variable.find('=') + 1);
  for (char** entry = ::environ; *entry != nullptr; ++entry) {
    if (name.empty() || !std::string_view(*entry).starts_with(name)) all.emplace_back(*entry);
  }
  if (!variable.empty()) all.push_back(variable);
  return all;
}

std::string last_error(const std::string& output) {
  std::istringstream lines(output);
  std::string line, error;
  while (std::getline(lines, line)) {
    if (line.find("error: ") != std::string::npos) error = line;
  }
  return error.starts_with("error: ") ? error.substr(7) : error;
}

Child::Child(const std::vector<std::string>& arguments, const fs::path& output, const std::string& variable)
    : output_(output) {
  std::error_code error;
  fs::create_directories(output.parent_path(), error);
  const int descriptor = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor < 0) fail("{}: cannot write; got {}", output.string(), std::strerror(errno));
  std::vector<std::string> words = {"espalier"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables = environment_with(variable);
  const std::vector<char*> word_pointers = pointers_to(words), variable_pointers = pointers_to(variables);
  const pid_t parent = ::getpid();
  process_ = ::fork();
  if (process_ == 0) become(word_pointers.data(), variable_pointers.data(), descriptor, parent);
  const int reason = errno;
  ::close(descriptor);
  if (process_ < 0) fail("cannot start a run; got {}", std::strerror(reason));
}

Child::~Child() {
  if (ended_ || process_ < 0) return;
  stop();
  while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::optional<Ended> Child::ended() {
  if (ended_) return ended_;
  int status = 0;
  const pid_t got = ::waitpid(process_, &status, WNOHANG);
  if (got == 0 || (got < 0 && errno == EINTR)) return std::nullopt;
  Ended ended;
  ended.done = got > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  ended.interrupted = !ended.done && stopped_;
  if (!ended.done) ended.error = got < 0 ? "its end was missed" : why(status, read_text(output_));
  ended_ = ended;
  return ended_;
}

void Child::stop() {
  if (!ended_ && !stopped_) ::kill(process_, SIGTERM);
  stopped_ = true;
}

void Child::kill() {
  stopped_ = true;
  if (!ended_) ::kill(process_, SIGKILL);
}

}  // namespace espalier
