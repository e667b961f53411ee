// SPDX-License-Identifier: Apache-2.0
// A Hugging Face checkpoint folder: config.json, one or more safetensors files, side files.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/checkpoint/safetensors.hpp"
#include "core/model/family.hpp"
#include "core/model/parameter.hpp"

namespace espalier {

class Checkpoint {
 public:
  // Opens and validates: every tensor of the family's table is there once, with the shape the config says (the
  // dimension that disagrees is named), nothing unexpected beside them, every shard inside the folder. Reads no
  // weights, but for an `lm_head.weight` that config.json ties to the embedding: it must equal it.
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

  // SHA-256 over what config.json says and over each tensor's name, dtype, shape and data, in the table's order: how
  // the weights are sharded and the layout of config.json do not change it. Computed once per object; reads everything,
  // and stops with Interrupted on a signal.
  const std::string& digest() const;

  // Files that travel with the model, sorted: tokenizer, generation config, chat template, … (not weights of any
  // format, config.json, espalier.json, hidden files, folders).
  std::vector<fs::path> side_files() const;

 private:
  struct Place {
    std::size_t file;
    const TensorInfo* info;  // in files_[file]
  };
  const Place& place(const Parameter& parameter) const;

  fs::path folder_;
  nlohmann::json config_;
  ModelSpec spec_;
  std::vector<Parameter> parameters_;
  std::vector<std::shared_ptr<const SafetensorsFile>> files_;
  std::map<std::string, Place> where_;  // of every tensor in the table
  mutable std::string digest_;
};

// config.json only: what `plan` needs.
ModelSpec read_folder_spec(const fs::path& folder);

// Writes a checkpoint folder tensor by tensor in the table's order, sharded, with bounded memory. Work happens in a
// folder beside the final one, which commit() puts in place; without commit() nothing stays. Whatever goes wrong, the
// final folder holds either its old or its new content.
class CheckpointWriter {
 public:
  // Weights are stored as `dtype` (float32, bfloat16 or float16), in files of at most `shard_bytes` of tensor data (a
  // larger tensor has a file of its own). `config` is written as it is. Throws Error when the disk has too little
  // space.
  CheckpointWriter(const fs::path& folder, const ModelSpec& spec, const nlohmann::json& config, at::ScalarType dtype,
                   std::int64_t shard_bytes);
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;
  CheckpointWriter(CheckpointWriter&&) noexcept;
  ~CheckpointWriter();
  const std::vector<Parameter>& parameters() const;
  // Data of the parameter at hand, in pieces or whole: any float dtype, device and shape; only the order of the
  // elements counts. Throws Error when a finite weight does not fit float16.
  void write(const at::Tensor& piece);
  void add_side_file(const fs::path& file);                            // copied under its own name
  void add_json(const std::string& name, const nlohmann::json& json);  // espalier.json and the like
  void commit();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace espalier
