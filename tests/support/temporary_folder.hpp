// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/base/temporary_folder.hpp"

namespace espalier::test {

using espalier::TemporaryFolder;

}  // namespace espalier::test
