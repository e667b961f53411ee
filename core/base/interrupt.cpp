// SPDX-License-Identifier: Apache-2.0
#include "core/base/interrupt.hpp"

#include <csignal>

#include <initializer_list>

namespace espalier {

namespace {
volatile std::sig_atomic_t arrived = 0;

void on_signal(int number) {
  arrived = number;
  std::signal(number, SIG_DFL);  // the second one ends the program
}
}  // namespace

void watch_signals() {
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit then is an error of the write that meets it
  for (const int number : {SIGINT, SIGTERM}) std::signal(number, on_signal);
}

bool interrupted() { return arrived != 0; }

void throw_if_interrupted() {
  if (interrupted()) throw Interrupted("stopped by a signal; run the same command again to go on");
}

}  // namespace espalier
