// SPDX-License-Identifier: Apache-2.0
#include "core/report/recovery.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <vector>

namespace espalier {
namespace {

using nlohmann::json;

// Bits per byte, where the bytes are known, else per token.
std::optional<double> bits_of(const json& bits_per_byte, const json& nll) {
  if (bits_per_byte.is_number()) return bits_per_byte.get<double>();
  if (nll.is_number()) return nll.get<double>() / std::numbers::ln2;
  return std::nullopt;
}

struct Recovered {
  std::string name;
  double cost, left;  // bits above the teacher before and after training
};

std::optional<Recovered> recovered(const json& arm) {
  const auto moment = [&](const char* when) {
    return bits_of(arm[when]["bits_per_byte"]["mean"], arm[when]["nll"]["mean"]);
  };
  const auto teacher = bits_of(arm["teacher"]["bits_per_byte"], arm["teacher"]["nll"]);
  const auto before = moment("before"), after = moment("after");
  if (!arm["pruned"].get<bool>() || !teacher || !before || !after) return std::nullopt;
  return Recovered{arm["name"].get<std::string>(), *before - *teacher, *after - *teacher};
}

}  // namespace

std::string recovery_text(const json& arms) {
  std::vector<Recovered> list;
  for (const json& arm : arms) {
    if (const std::optional<Recovered> one = recovered(arm)) list.push_back(*one);
  }
  std::stable_sort(list.begin(), list.end(), [](const Recovered& a, const Recovered& b) { return a.left < b.left; });
  std::string text;
  for (const Recovered& one : list) {
    text +=
        fmt::format("{}{}: starts {:.2f} bits per byte above the teacher, ends {:.2f} {} it", text.empty() ? "" : " ",
                    one.name, one.cost, std::abs(one.left), one.left < 0 ? "below" : "above");
    text +=
        one.cost > 0 ? fmt::format(" ({:.0f} % of the damage repaired).", 100.0 * (1.0 - one.left / one.cost)) : ".";
  }
  return text;
}

}  // namespace espalier
