// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "espalier/sdk/spec.hpp"

namespace espalier {

// Between a spec and one Hugging Face `model_type`: how config.json says it.
class Family {
 public:
  virtual ~Family() = default;
  virtual std::string name() const = 0;
  // Reads a config, in the spelling of transformers 4 or 5. `source` names the file in errors. Everything that we do
  // not compute exactly as transformers does (rope types, activations, layer types) is an Error, never a guess.
  virtual ModelSpec read(const nlohmann::json& config, const std::string& source) const = 0;
  // Writes every key that any version of transformers needs, both spellings, into `config`; unknown keys in it stay.
  virtual void write(const ModelSpec& spec, nlohmann::json& config) const = 0;
  // What every model of this family has, and what its other numbers are unless said otherwise. No layers; hidden and
  // vocab are 0.
  virtual ModelSpec blank() const = 0;
  // Error when this family's config.json has no words for the spec.
  virtual void check(const ModelSpec& spec, const std::string& source) const = 0;
};

const Family& family(const std::string& model_type, const std::string& source);  // Error with "did you mean"
std::vector<std::string> family_names();

// config.json → spec and back.
ModelSpec read_spec(const nlohmann::json& config, const std::string& source);
// `base` is the teacher's config (or empty): its other keys are carried along, per-layer lists are cut with `layer_of`
// (student layer → teacher layer). `dtype` is "float32", "bfloat16" or "float16".
nlohmann::json write_config(const ModelSpec& spec, const nlohmann::json& base,
                            const std::vector<std::int64_t>& layer_of, const std::string& dtype);

// A spec as plain JSON, as plan.json has it; and back.
nlohmann::json spec_to_json(const ModelSpec& spec);
ModelSpec spec_from_json(const nlohmann::json& json, const std::string& source);

// What transformers would refuse or misread about this spec, one sentence each ("transformers 5 refuses …").
std::vector<std::string> compatibility_notes(const ModelSpec& spec);

}  // namespace espalier
