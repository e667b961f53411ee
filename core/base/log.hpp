// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

#include <spdlog/spdlog.h>

namespace espalier {

// Messages go to stderr, results to stdout. `level` is a name of spdlog's ("debug", "info", "warning", "error", "off").
void start_log(const std::string& level);

// From here on messages are also appended to `file`.
void log_to(const std::filesystem::path& file);

}  // namespace espalier
