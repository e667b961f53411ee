// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

#include "espalier/sdk/abi.hpp"

namespace espalier {
inline namespace abi_2 {

// Something outside the program is wrong: a file, a plugin, a device, a disk. The program ends with exit code 1.
// The text says what, what was got and what was expected; the host adds in which component and stage.
class ESPALIER_SDK_VISIBLE Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The user's recipe or command line is wrong. The program ends with exit code 2.
class ESPALIER_SDK_VISIBLE RecipeError : public Error {
 public:
  using Error::Error;
};

// A broken promise of our own code (or of a plugin's): never the user's fault.
class ESPALIER_SDK_VISIBLE InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

}  // namespace abi_2

// Joins its arguments as a stream would print them: concat("got ", 3) is "got 3".
template <class... Args>
std::string concat(const Args&... args) {
  std::ostringstream out;
  ((out << args), ...);
  return out.str();
}

}  // namespace espalier

#define ESPALIER_CHECK(condition, ...)                                                                   \
  do {                                                                                                   \
    if (!(condition)) {                                                                                  \
      throw ::espalier::InternalError(::espalier::concat(                                                \
          __FILE__, ":", __LINE__, ": check failed: ", #condition, " ", ::espalier::concat(__VA_ARGS__), \
          " (this is a bug of espalier or of a plugin: please report)"));                                \
    }                                                                                                    \
  } while (false)
