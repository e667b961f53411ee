// SPDX-License-Identifier: Apache-2.0
// Three kinds of failure: Error (environment, exit 1), RecipeError (the user's recipe or command line, exit 2) and
// ESPALIER_CHECK (our own bug). They come from the SDK, because plugins throw them too.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

#include "espalier/sdk/error.hpp"

namespace espalier {

// fail("{}: file is damaged; got {} bytes; expected {}", path, got, expected)
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> text, Args&&... args) {
  throw Error(fmt::format(text, std::forward<Args>(args)...));
}

// The same for mistakes of the user.
template <class... Args>
[[noreturn]] void reject(fmt::format_string<Args...> text, Args&&... args) {
  throw RecipeError(fmt::format(text, std::forward<Args>(args)...));
}

// A mistake of the user that another process of the same launch tells: this one ends without a word, with exit 2.
class ToldElsewhere : public RecipeError {
 public:
  ToldElsewhere() : RecipeError("another rank tells it") {}
};

}  // namespace espalier
