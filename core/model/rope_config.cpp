// SPDX-License-Identifier: Apache-2.0
#include "core/model/rope_config.hpp"

#include <cmath>
#include <functional>
#include <optional>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"

namespace espalier {
namespace {

const std::vector<std::string> kTypes = {"default", "linear", "llama3"};

// The same setting may stand in several places. All that are there must say the same.
class Places {
 public:
  explicit Places(const ConfigReader& config) : config_(config) {
    for (const char* key : {"rope_parameters", "rope_scaling"}) {
      if (config.has(key)) tables_.push_back(config.object(key));
    }
  }

  std::optional<double> number(const std::string& key, const std::vector<std::string>& outer) const {
    const auto read = [](const ConfigReader& in, const std::string& name) { return in.positive(name); };
    return agreed<double>(key, outer, read);
  }

  std::string type() const {
    const auto read = [](const ConfigReader& in, const std::string& name) { return in.text(name); };
    std::optional<std::string> type;
    for (const char* key : {"rope_type", "type"}) {
      const std::optional<std::string> found = agreed<std::string>(key, {}, read);
      if (type && found && *type != *found) {
        fail("{}: rope_type and type contradict each other; got \"{}\" and \"{}\"; expected the same value",
             config_.source(), *type, *found);
      }
      if (found) type = found;
    }
    return type.value_or("default");
  }

  bool nested() const {
    for (const ConfigReader& table : tables_) {
      if (table.has("full_attention") || table.has("sliding_attention")) return true;
    }
    return false;
  }

 private:
  template <class T, class Read>
  std::optional<T> agreed(const std::string& key, const std::vector<std::string>& outer, Read read) const {
    std::optional<T> value;
    std::string place;
    const auto look = [&](const ConfigReader& in, const std::string& name) {
      if (!in.has(name)) return;
      const T found = read(in, name);
      if (value && *value != found) {
        fail("{}: {} and {} contradict each other; got {} and {}; expected the same value", config_.source(), place,
             in.place(name), *value, found);
      }
      if (!value) place = in.place(name);
      value = found;
    };
    for (const std::string& name : outer) look(config_, name);
    for (const ConfigReader& table : tables_) look(table, key);
    return value;
  }

  const ConfigReader& config_;
  std::vector<ConfigReader> tables_;
};

}  // namespace

Rope read_rope(const ConfigReader& config, const std::vector<std::string>& partial_keys, double partial,
               std::int64_t max_positions) {
  const Places places(config);
  if (places.nested()) {
    fail("{}: rope_parameters per layer type are not supported; expected one set for all layers", config.source());
  }
  Rope rope;
  rope.type = places.type();
  rope.theta = places.number("rope_theta", {"rope_theta"}).value_or(10000.0);
  rope.partial = places.number("partial_rotary_factor", partial_keys).value_or(partial);
  if (rope.type == "default") return rope;
  if (rope.type != "linear" && rope.type != "llama3") {
    fail("{}: rope type is not supported; got \"{}\"; expected {}{}", config.source(), rope.type, any_of(kTypes),
         did_you_mean(rope.type, kTypes));
  }
  const auto required = [&](const char* key) {
    const std::optional<double> value = places.number(key, {});
    if (!value) fail("{}: {} of rope type \"{}\" is missing; expected this key", config.source(), key, rope.type);
    return *value;
  };
  rope.factor = required("factor");
  if (rope.type == "linear") return rope;
  rope.low_freq_factor = required("low_freq_factor");
  rope.high_freq_factor = required("high_freq_factor");
  const char* original = "original_max_position_embeddings";
  const double positions = places.number(original, {original}).value_or(static_cast<double>(max_positions));
  if (positions != std::floor(positions) || positions > 1e15) {
    fail("{}: {} is not valid; got {}; expected a positive integer", config.source(), original, positions);
  }
  rope.original_max_positions = static_cast<std::int64_t>(positions);
  return rope;
}

void write_rope(const Rope& rope, bool with_partial, nlohmann::json& config) {
  nlohmann::json scaling = {{"rope_type", rope.type}};
  if (rope.type != "default") scaling["factor"] = rope.factor;
  if (rope.type == "llama3") {
    scaling["low_freq_factor"] = rope.low_freq_factor;
    scaling["high_freq_factor"] = rope.high_freq_factor;
    scaling["original_max_position_embeddings"] = rope.original_max_positions;
  }
  // transformers 5 prefers a rope_scaling to rope_parameters, so an idle one must be absent, not of type "default".
  config["rope_scaling"] = rope.type == "default" ? nlohmann::json() : scaling;
  config["rope_theta"] = rope.theta;
  scaling["rope_theta"] = rope.theta;
  if (with_partial) {
    config["partial_rotary_factor"] = rope.partial;
    scaling["partial_rotary_factor"] = rope.partial;
  } else {
    config.erase("partial_rotary_factor");
  }
  config["rope_parameters"] = scaling;
  config.erase("original_max_position_embeddings");
}

}  // namespace espalier
