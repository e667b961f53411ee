// SPDX-License-Identifier: Apache-2.0
#include "core/train/metrics_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "core/base/error.hpp"

namespace espalier {
namespace {

// Whether a line belongs to a step that is kept; a line that is no such object does not.
bool belongs(std::string_view line, std::int64_t last_step) {
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return false;
  const auto step = json.find("step");
  return step != json.end() && step->is_number_integer() && step->get<std::int64_t>() <= last_step;
}

std::string kept_lines(const std::string& text, std::int64_t last_step) {
  std::string kept;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;  // torn
    const std::string_view line(text.data() + begin, end - begin);
    if (belongs(line, last_step)) kept.append(line).push_back('\n');
    begin = end + 1;
  }
  return kept;
}

}  // namespace

MetricsLog::MetricsLog(const fs::path& path, std::int64_t step) : path_(path) {
  const std::string old = fs::exists(path) ? read_text(path) : "";
  const std::string kept = kept_lines(old, step);
  if (kept != old || !fs::exists(path)) write_text(path, kept);
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (descriptor_ < 0) fail("{}: cannot write; got {}", path.string(), std::strerror(errno));
}

MetricsLog::~MetricsLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void MetricsLog::add(const nlohmann::ordered_json& line) {
  const std::string text = line.dump() + "\n";
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("{}: cannot write; got {}", path_.string(), std::strerror(errno));
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

void MetricsLog::sync() {
  if (::fdatasync(descriptor_) != 0) fail("{}: cannot write; got {}", path_.string(), std::strerror(errno));
}

}  // namespace espalier
