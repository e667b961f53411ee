// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {

// The code of a plugin runs in this process and may crash it. From this call on, a crash ends with a line on standard
// error that says in which place; the signal then takes its usual course (exit code 128 + its number, a core file).
void report_crashes();

// While it lives, a crash is said to have happened at `place`, whatever thread it comes from. Places nest. The text
// must outlive it, and may change.
class CrashPlace {
 public:
  explicit CrashPlace(const char* place);
  ~CrashPlace();
  CrashPlace(const CrashPlace&) = delete;
  CrashPlace& operator=(const CrashPlace&) = delete;

 private:
  const char* outer_;
};

}  // namespace espalier
