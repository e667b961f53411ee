// SPDX-License-Identifier: Apache-2.0
// Is this file a plugin for this program? Answered from the file, before any code of it runs.
#pragma once

#include <string>

#include "core/base/files.hpp"

namespace espalier {

// The build stamp: the name of an ELF section, "espalier:abi=1:torch=2.11.0:…". Throws Error when `library` is no
// regular file, no shared library of this machine, cut short, or carries no stamp.
std::string read_stamp(const fs::path& library);

// "" when a plugin with this stamp fits a host with that one, else one line for each field that differs.
// A plugin without kernels of its own says cuda=none, which fits every host.
std::string stamp_differences(const std::string& plugin, const std::string& host);

// Throws Error with every difference at once and how to rebuild.
void check_stamp(const fs::path& library);

}  // namespace espalier
