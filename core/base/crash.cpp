// SPDX-License-Identifier: Apache-2.0
#include "core/base/crash.hpp"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>

namespace espalier {
namespace {

std::atomic<const char*> crash_place{nullptr};

// Only what is safe in a signal handler: write(2), and texts that are there already.
void put(const char* text) {
  const ssize_t ignored = ::write(STDERR_FILENO, text, std::strlen(text));
  (void)ignored;
}

const char* signal_name(int signal) {
  switch (signal) {
    case SIGSEGV:
      return "SIGSEGV, a wrong address";
    case SIGBUS:
      return "SIGBUS, a file that shrank or a wrong address";
    case SIGFPE:
      return "SIGFPE, a whole number divided by 0";
    case SIGILL:
      return "SIGILL, an instruction that this CPU lacks";
    default:
      return "SIGABRT";
  }
}

void on_crash(int signal) {
  const char* place = crash_place.load();
  put("\nerror: crashed (");
  put(signal_name(signal));
  put(place != nullptr ? ") " : ") in the program's own code; please report");
  if (place != nullptr) {
    put(place);
    put("; to see where: gdb --args with the same command, then run and backtrace");
  }
  put("\n");
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

void report_crashes() {
#if !defined(__SANITIZE_ADDRESS__)  // the sanitizer says more
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) std::signal(signal, on_crash);
#endif
}

CrashPlace::CrashPlace(const char* place) : outer_(crash_place.exchange(place)) {}
CrashPlace::~CrashPlace() { crash_place.store(outer_); }

}  // namespace espalier
