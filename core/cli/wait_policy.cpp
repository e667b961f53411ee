// SPDX-License-Identifier: Apache-2.0
// OpenMP's threads spin for milliseconds at every barrier before they sleep. Beside any other busy process they then
// spin on the cores that the others need, and training falls to a quarter of its speed or less. The policy is an
// environment variable that libgomp reads when it is loaded, which is before main: so the program starts itself again
// with the variable set, from the first code of it that runs, before any library has initialised itself.
#include <alloca.h>
#include <unistd.h>

namespace {

// No library may be used here, the C library's state included.
bool names(const char* entry, const char* name) {
  while (*name != '\0' && *entry == *name) ++entry, ++name;
  return *name == '\0' && *entry == '=';
}

void set_wait_policy(int, char** argv, char** environment) {
  // Beside one busy process twice as fast as the default; alone 5 to 10 % slower.
  static char spin_count[] = "GOMP_SPINCOUNT=2000";
  int count = 0;
  for (; environment[count] != nullptr; ++count) {
    if (names(environment[count], "OMP_WAIT_POLICY") || names(environment[count], "GOMP_SPINCOUNT")) return;
  }
  char** with_policy = static_cast<char**>(alloca(sizeof(char*) * static_cast<unsigned long>(count + 2)));
  for (int i = 0; i < count; ++i) with_policy[i] = environment[i];
  with_policy[count] = spin_count;
  with_policy[count + 1] = nullptr;
  execve("/proc/self/exe", argv, with_policy);  // returns only on failure: then all goes on as it was
}

}  // namespace

// The sanitizers' own runtime starts from the same place and must come first.
#if !defined(__SANITIZE_ADDRESS__)
__attribute__((section(".preinit_array"), used)) static void (*const kSetWaitPolicy)(int, char**,
                                                                                     char**) = set_wait_policy;
#endif
