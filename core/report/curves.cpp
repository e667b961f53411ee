// SPDX-License-Identifier: Apache-2.0
#include "core/report/curves.hpp"

#include <algorithm>
#include <sstream>

#include "core/base/error.hpp"

namespace espalier {
namespace {

using nlohmann::json;

constexpr std::size_t kPoints = 200;

struct Curve {
  std::vector<double> tokens, loss;
  std::vector<std::string> terms;
};

// metrics.jsonl has the terms between the loss and the norm of the gradient.
std::vector<std::string> terms_of(const nlohmann::ordered_json& line) {
  std::vector<std::string> terms;
  bool inside = false;
  for (const auto& [key, value] : line.items()) {
    if (key == "grad_norm") break;
    if (inside) terms.push_back(key);
    inside = inside || key == "loss";
  }
  return terms;
}

Curve read_curve(const fs::path& path) {
  Curve curve;
  std::istringstream lines(read_text(path));
  for (std::string line; std::getline(lines, line);) {
    const auto point = nlohmann::ordered_json::parse(line, nullptr, false);
    if (!point.is_object() || !point.contains("tokens") || !point.contains("loss") || !point["loss"].is_number())
      continue;  // a line that was cut off
    if (curve.tokens.empty()) curve.terms = terms_of(point);
    curve.tokens.push_back(point["tokens"].get<double>());
    curve.loss.push_back(point["loss"].get<double>());
  }
  return curve;
}

json thinned(const Curve& curve) {
  const std::size_t size = curve.tokens.size(), points = std::min(size, kPoints);
  json tokens = json::array(), loss = json::array();
  for (std::size_t p = 0; p < points; ++p) {
    const std::size_t first = p * size / points, end = (p + 1) * size / points;
    double sum = 0.0;
    for (std::size_t i = first; i < end; ++i) sum += curve.loss[i];
    tokens.push_back(static_cast<std::int64_t>(curve.tokens[end - 1]));
    loss.push_back(sum / static_cast<double>(end - first));
  }
  return {{"tokens", tokens}, {"loss", loss}};
}

json seed_of(const RunRecord& run) { return run.ref.seed ? json(*run.ref.seed) : json(nullptr); }

}  // namespace

json curves_of(const std::vector<Arm>& arms) {
  json curves = json::array();
  for (const Arm& arm : arms) {
    json runs = json::array(), terms = json::array();
    for (const RunRecord& run : arm.runs) {
      const fs::path path = run.ref.folder / "metrics.jsonl";
      if (run.ref.measured || !fs::exists(path)) continue;
      const Curve curve = read_curve(path);
      if (curve.tokens.empty()) continue;
      if (runs.empty()) terms = curve.terms;
      runs.push_back(thinned(curve));
      runs.back()["seed"] = seed_of(run);
      runs.back()["run"] = run.ref.name;
    }
    if (!runs.empty()) curves.push_back({{"arm", arm.name}, {"runs", runs}, {"terms", terms}});
  }
  return curves;
}

}  // namespace espalier
