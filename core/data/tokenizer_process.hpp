// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "core/base/files.hpp"

namespace espalier {

// The Python that has the `tokenizers` package: $ESPALIER_PYTHON, or that of the virtual environment that LibTorch was
// loaded from, or python3.
std::string worker_python();

// A running core/data/tokenize.py. The script travels inside the program.
class TokenizerProcess {
 public:
  explicit TokenizerProcess(fs::path tokenizer_json);  // returns when the tokenizer is loaded
  TokenizerProcess(const TokenizerProcess&) = delete;
  TokenizerProcess& operator=(const TokenizerProcess&) = delete;
  // One request, one reply, as the script says. Throws Error when the worker reports one or dies.
  std::string ask(std::string_view request);

 private:
  void start();
  void send(std::string_view bytes);
  void receive(char* to, std::size_t bytes);
  std::string reply();
  [[noreturn]] void fail_dead();

  fs::path json_;
  std::string python_;
  struct Child {
    int socket = -1;
    pid_t process = -1;
    Child() = default;
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child();  // ends the worker
  };
  Child child_;
};

}  // namespace espalier
