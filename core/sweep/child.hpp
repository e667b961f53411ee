// SPDX-License-Identifier: Apache-2.0
// One run of a sweep as a process of its own: what kills it does not take the others along.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "core/base/files.hpp"

namespace espalier {

struct Ended {
  bool done = false;
  bool interrupted = false;  // stop() was called before
  std::string error;         // one line
};

class Child {
 public:
  // Starts this program with `arguments`; what it says goes to `output`, which is written anew. `variable`, NAME=value,
  // is put into its environment unless it is "". The child is told to stop when this process dies, however it dies.
  Child(const std::vector<std::string>& arguments, const fs::path& output, const std::string& variable = "");
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();  // stops it and waits

  std::optional<Ended> ended();  // nothing while it runs; called again after the end: the same
  void stop();                   // as Ctrl-C does: it saves what it must
  void kill();                   // at once

 private:
  pid_t process_ = -1;
  fs::path output_;
  bool stopped_ = false;
  std::optional<Ended> ended_;
};

// This process's environment, with `variable` instead of what it has of that name; "": as it is.
std::vector<std::string> environment_with(const std::string& variable);

// The last error that a program's output tells of, in one line; "" when it tells of none.
std::string last_error(const std::string& output);

}  // namespace espalier
