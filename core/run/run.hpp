// SPDX-License-Identifier: Apache-2.0
// One run of a recipe: what its stages share. Everything here is made on first use, so that a stage that is skipped
// costs nothing.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/comm/comm.hpp"
#include "core/data/prepare.hpp"
#include "core/forward/model.hpp"
#include "core/plugin/registry.hpp"
#include "core/prune/plan.hpp"
#include "core/recipe/recipe.hpp"
#include "core/run/ledger.hpp"

namespace espalier {

// What the host lends to components.
class RunHost final : public Host {
 public:
  explicit RunHost(std::uint64_t seed) : seed_(seed) {}
  std::uint64_t seed() const override { return seed_; }
  void info(const std::string& text) const override;
  void warn(const std::string& text) const override;

 private:
  std::uint64_t seed_;
};

enum class DataPart { train, valid, calibration };

class Run {
 public:
  Run(Recipe recipe, const Registry& registry, Compute compute, Comm& comm = alone());

  // The ranks of this launch, each with a Run of its own. Rank 0 does what is done once and writes all files; the
  // others wait, and train with it. They all see the same folders.
  Comm& comm() const { return comm_; }
  bool leads() const { return comm_.leads(); }

  const Recipe& recipe() const { return recipe_; }
  const Registry& registry() const { return registry_; }
  const RunHost& host() const { return host_; }
  const RunFiles& files() const { return files_; }
  Compute compute() const { return compute_; }
  Ledger& ledger() { return ledger_; }

  // The spec of the teacher, from config.json alone: the folder's, or where there is no such folder yet the one that
  // the recipe names.
  ModelSpec teacher_spec() const;
  at::ScalarType teacher_dtype() const;  // float32 when the config does not say
  // The teacher as the recipe names it, before any correction. Error when the recipe starts from a spec.
  const Checkpoint& given_teacher();
  // The recipe's teacher, corrected when there is [correct].
  const Checkpoint& teacher();
  // What [[prune]] scores and cuts: the teacher, or with prune_from = "original" the teacher before its correction.
  const Checkpoint& pruned_model();
  // What [distill] compares with: the teacher, or the model that the table names instead.
  const Checkpoint& distill_teacher();
  ModelSpec distill_teacher_spec() const;  // from config.json alone
  const Checkpoint& student();             // as sliced
  Plan plan() const;                       // from plan.json
  void forget_models();                    // those of this run are opened again

  // Prepared token sources; empty for DataPart::valid when the recipe has no validation data.
  const std::vector<TokenSource>& data(DataPart part);
  std::string data_digest(DataPart part);
  std::string tokenizer() const;

  // Digest of a component with all its options and the library that provides it.
  std::string component_digest(const ComponentBlock& block);
  // Digest of the outputs of a stage that has ended.
  std::string output_of(const std::string& stage) const;
  void set_output(const std::string& stage, const std::string& digest) { outputs_[stage] = digest; }

 private:
  Recipe recipe_;
  const Registry& registry_;
  Compute compute_;
  Comm& comm_;
  RunFiles files_;
  RunHost host_;
  Ledger ledger_;
  std::optional<Checkpoint> given_teacher_, corrected_teacher_, distill_teacher_, student_;
  std::map<DataPart, std::vector<TokenSource>> data_;
  std::map<std::string, std::string> outputs_, plugin_digests_;
};

// A Hugging Face folder, or the export of a run directory.
fs::path checkpoint_folder(const fs::path& path);

}  // namespace espalier
