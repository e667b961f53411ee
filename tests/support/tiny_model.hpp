// SPDX-License-Identifier: Apache-2.0
// Tiny checkpoints with random weights, one for each family, as `plugins check` makes them.
#pragma once

#include "core/check/tiny_model.hpp"
#include "tests/support/temporary_folder.hpp"

namespace espalier::test {

using espalier::tiny_spec;
using espalier::write_tiny;

}  // namespace espalier::test
