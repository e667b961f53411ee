// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tests/support/temporary_folder.hpp"

namespace espalier {

// A fresh folder for one test case; removed with it.
class Scratch : public test::TemporaryFolder {
 public:
  const std::filesystem::path& folder() const { return path(); }
};

}  // namespace espalier
