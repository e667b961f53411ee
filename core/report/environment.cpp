// SPDX-License-Identifier: Apache-2.0
#include "core/report/environment.hpp"

#include <fstream>
#include <string>

#include <ATen/Parallel.h>
#include <torch/headeronly/version.h>

#include "espalier/sdk/version.hpp"

namespace espalier {
namespace {

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

}  // namespace

nlohmann::json environment_of(const nlohmann::json& protocol, const nlohmann::json& sweep) {
  const bool measured = protocol.is_object() && protocol.contains("device");
  return {{"program", "espalier " ESPALIER_VERSION},
          {"torch", TORCH_VERSION},
          {"cpu", processor()},
          {"threads",
           sweep.is_object() && sweep.contains("threads") ? sweep["threads"] : nlohmann::json(at::get_num_threads())},
          {"device", measured ? protocol["device"] : nlohmann::json(nullptr)}};
}

}  // namespace espalier
