// SPDX-License-Identifier: Apache-2.0
// A Hugging Face checkpoint folder: config.json, one or more safetensors files, side files.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/checkpoint/safetensors.hpp"
#include "core/model/family.hpp"
#include "core/model/parameter.hpp"

namespace espalier {

class Checkpoint {
 public:
  // Opens and validates: every tensor of the family's table is there once, with the shape the config says (the
  // dimension that disagrees is named), nothing unexpected beside them, every shard inside the folder. Reads no
  // weights.
  explicit Checkpoint(const fs::path& folder);

  const fs::path& folder() const { return folder_; }
  const ModelSpec& spec() const { return spec_; }
  const nlohmann::json& config() const { return config_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  at::ScalarType dtype() const;  // of the largest share of the data

  const TensorInfo& info(const Parameter& parameter) const;
  at::Tensor tensor(const Parameter& parameter) const;  // stored dtype, read-only; see SafetensorsFile::tensor
  // Lets the kernel drop the pages of this tensor.
  void forget(const Parameter& parameter) const;

  // SHA-256 over config.json and the tensors' data. Cached beside nothing: computed once per object.
  const std::string& digest() const;

  // Files that travel with the model: tokenizer, generation config, chat template, … (not weights, not espalier.json).
  std::vector<fs::path> side_files() const;

 private:
  fs::path folder_;
  nlohmann::json config_;
  ModelSpec spec_;
  std::vector<Parameter> parameters_;
  std::vector<std::shared_ptr<SafetensorsFile>> files_;
  std::map<std::string, std::pair<std::size_t, const TensorInfo*>> where_;  // tensor name → file, place
  mutable std::string digest_;
};

// config.json only: what `plan` needs.
ModelSpec read_folder_spec(const fs::path& folder);

// Writes a checkpoint folder tensor by tensor in the table's order, sharded, with bounded memory. Work happens in a
// folder beside the final one, which commit() puts in place.
class CheckpointWriter {
 public:
  CheckpointWriter(const fs::path& folder, const ModelSpec& spec, const nlohmann::json& config, at::ScalarType dtype,
                   std::int64_t shard_bytes);
  ~CheckpointWriter();
  const std::vector<Parameter>& parameters() const;
  // Data of the parameter at hand, in pieces or whole (any float dtype: converted).
  void write(const at::Tensor& piece);
  void add_side_file(const fs::path& file);                            // copied under its own name
  void add_json(const std::string& name, const nlohmann::json& json);  // espalier.json and the like
  void commit();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace espalier
