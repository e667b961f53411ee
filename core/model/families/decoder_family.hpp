// SPDX-License-Identifier: Apache-2.0
// What the config.json files of all our families have in common. A family adds its own keys in its own file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/model/config_reader.hpp"
#include "core/model/family.hpp"

namespace espalier {

class DecoderFamily : public Family {
 public:
  ModelSpec read(const nlohmann::json& config, const std::string& source) const final;
  void write(const ModelSpec& spec, nlohmann::json& config) const final;
  void check(const ModelSpec& spec, const std::string& source) const override;

 protected:
  virtual std::string architecture() const = 0;
  virtual std::vector<std::string> eps_keys() const { return {"rms_norm_eps"}; }  // the first one is written
  virtual std::vector<std::string> head_dim_keys() const { return {"head_dim"}; }
  virtual std::vector<std::string> partial_keys() const { return {"partial_rotary_factor"}; }
  virtual bool partial_rotary() const { return false; }
  // Key-value heads when the key is missing (0: an error), and head_dim when it is.
  virtual std::int64_t default_kv_heads(std::int64_t heads) const { return heads; }
  virtual std::int64_t default_head_dim(std::int64_t hidden, std::int64_t heads, const std::string& source) const;
  // The sliding window of each layer.
  virtual void read_windows(const ConfigReader& config, ModelSpec& spec) const;
  virtual void write_windows(const ModelSpec& spec, nlohmann::json& config) const;
  virtual bool windows() const { return false; }  // this family knows sliding windows
  // Biases.
  virtual void read_details(const ConfigReader& config, ModelSpec& spec) const = 0;
  virtual void write_details(const ModelSpec& spec, nlohmann::json& config) const = 0;
};

// `layer_types`, when there: one of "full_attention" and "sliding_attention" for each layer. Empty when absent.
std::vector<bool> read_sliding_layers(const ConfigReader& config, std::size_t layers);

// Qwen's words for windows: use_sliding_window, sliding_window, max_window_layers, layer_types.
void read_qwen_windows(const ConfigReader& config, ModelSpec& spec);
void write_qwen_windows(const ModelSpec& spec, nlohmann::json& config);
void check_qwen_windows(const ModelSpec& spec, const std::string& source);

const Family& llama_family();
const Family& mistral_family();
const Family& qwen2_family();
const Family& qwen3_family();
const Family& nemotron_family();

}  // namespace espalier
