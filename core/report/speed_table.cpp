// SPDX-License-Identifier: Apache-2.0
#include "core/report/speed_table.hpp"

#include <nlohmann/json.hpp>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/report/table.hpp"

namespace espalier {

std::string speed_text(const nlohmann::json& speed) {
  const nlohmann::json& models = speed["models"];
  std::vector<std::vector<std::string>> rows = {
      {"model", "first token", "prefill tokens/s", "decode tokens/s", "spread", "weights", "cache", "peak"}};
  for (const nlohmann::json& model : models) {
    const auto cell = [&](const char* key, const std::string& text) {
      return fmt::format("{} ({:.2f}x)", text, model[key].get<double>() / models[0][key].get<double>());
    };
    const auto rate = [&](const char* key) { return cell(key, fmt::format("{:.0f}", model[key].get<double>())); };
    const auto bytes = [&](const char* key) { return human_bytes(model[key].get<double>()); };
    const nlohmann::json& spread = model["spread"]["decode_tokens_per_s"];
    const double first = model["time_to_first_token_ms"];
    rows.push_back({model["name"].get<std::string>(), cell("time_to_first_token_ms", fmt::format("{:.1f} ms", first)),
                    rate("prefill_tokens_per_s"), rate("decode_tokens_per_s"),
                    fmt::format("{:.0f} to {:.0f}", spread["min"].get<double>(), spread["max"].get<double>()),
                    bytes("weights_bytes"), bytes("cache_bytes"), cell("peak_bytes", bytes("peak_bytes"))});
  }
  const nlohmann::json& protocol = speed["protocol"];
  return text_table(rows) + fmt::format(
                                "batch {}, {} prompt and {} new tokens, greedy; median of {} rounds over all models, "
                                "decode with its least "
                                "and largest; {} on {}, {} threads\n",
                                protocol["batch"].get<std::int64_t>(), protocol["prompt_tokens"].get<std::int64_t>(),
                                protocol["new_tokens"].get<std::int64_t>(), protocol["repeats"].get<std::int64_t>(),
                                protocol["dtype"].get<std::string>(), protocol["device"].get<std::string>(),
                                protocol["threads"].get<int>());
}

}  // namespace espalier
