// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "espalier/sdk/error.hpp"

namespace espalier {

// SIGINT or SIGTERM arrived. Long work asks between its steps, saves what it must and throws Interrupted.
// A second signal ends the program at once.
class Interrupted : public Error {
 public:
  using Error::Error;
};

void watch_signals();
bool interrupted();
void throw_if_interrupted();

}  // namespace espalier
