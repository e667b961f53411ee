// SPDX-License-Identifier: Apache-2.0
#include "core/base/log.hpp"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <array>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"

namespace espalier {

void start_log(const std::string& level) {
  static const std::vector<std::string> levels = {"debug", "info", "warning", "error", "off"};
  if (std::find(levels.begin(), levels.end(), level) == levels.end()) {
    reject("--log-level: unknown level; got '{}'; expected {}{}", level, any_of(levels), did_you_mean(level, levels));
  }
  auto logger = std::make_shared<spdlog::logger>("espalier", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%v");
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

void log_to(const std::filesystem::path& file) {
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string());
    sink->set_pattern("%Y-%m-%d %H:%M:%S %l %v");
    auto& sinks = spdlog::default_logger()->sinks();
    sinks.resize(1);  // the console stays, an earlier file goes
    sinks.push_back(std::move(sink));
  } catch (const spdlog::spdlog_ex& error) {
    fail("{}: cannot write the log; got {}", file.string(), error.what());
  }
}

}  // namespace espalier
