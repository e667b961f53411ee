// SPDX-License-Identifier: Apache-2.0
// The recipe (schema 1) as typed structs. Parsing knows TOML and positions; everything after it sees only this.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/files.hpp"
#include "core/recipe/component.hpp"
#include "core/recipe/search_block.hpp"
#include "espalier/sdk/spec.hpp"

namespace espalier {

struct TeacherBlock {
  fs::path path;                  // a Hugging Face folder or a run directory (its export)
  fs::path config;                // its config.json, so that `plan` works before the folder is there; may be empty
  std::optional<ModelSpec> spec;  // instead of a path: random weights
  Where where;
};

struct SourceBlock {
  std::string path;
  std::optional<double> weight;
  std::string name;
  Where where;
};

struct DataBlock {
  std::vector<SourceBlock> train, valid, calibration;  // valid empty: valid_fraction of train; calibration empty: train
  double valid_fraction = 0.0;
  std::string tokenizer;  // empty: what the teacher brings, else "bytes"
  std::string token_type;
  std::int64_t seq_length = 0;
  bool deduplicate = false;
};

struct ScoreBlock {
  std::int64_t samples = 0, seq_length = 0, micro_batch = 0;
  std::int64_t rounds = 1;  // of scoring and pruning, each on the student of the one before
};

struct PruneBlock {
  Component axis;
  Component metric;
  std::optional<std::int64_t> keep;  // neither: [search] chooses
  std::optional<double> ratio;
  Where where, keep_where;  // of the block; of keep or ratio
};

struct LossBlock {
  Component loss;
  double weight = 1.0;
};

struct OptimizerBlock {
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.1;
  std::string moments = "float32";    // the dtype that they are kept in: "float32", "bfloat16"
  std::string gradients = "float32";  // of weights in bfloat16
};

// [correct] and [distill]
struct TrainBlock {
  std::optional<std::int64_t> tokens, steps;                       // exactly one
  std::int64_t global_batch = 0, micro_batch = 0, seq_length = 0;  // seq_length: [data]'s
  std::vector<LossBlock> losses;
  Component scheduler;
  OptimizerBlock optimizer;
  double clip_grad = 1.0;
  std::int64_t save_every = 0, keep_last = 0, eval_every = 0, eval_windows = 0, log_every = 0;
  std::string recompute;  // in the backward pass, to the same bits: "none", "cheap" (norms, activations), "layers"
  bool cuda_graph = false;
  std::string balance;  // "fixed": the weights alone; "dynamic": losses on features count as much as those on logits
  std::string init;     // [distill] only: "pruned", or "random" for a control of the same shape
  fs::path teacher;     // [distill] only: a teacher that is not the model which is pruned; empty: [teacher]
  fs::path teacher_config;  // its config.json, as in [teacher]
  std::string prune_from;   // [correct] only: "corrected", or "original": what [[prune]] scores and cuts
  Where global_batch_where, micro_batch_where, balance_where, teacher_where, prune_from_where;
  std::int64_t total_steps() const;  // the smallest number that sees at least `tokens`
  std::int64_t tokens_per_step() const { return global_batch * seq_length; }
};

// [teacher_cache]: what the teacher says of the distillation's tokens is computed once and kept for all students.
struct TeacherCacheBlock {
  std::int64_t k = 0;  // tokens kept of each distribution; 0: chosen from the vocabulary; all of it: nothing is lost
  std::string dtype;   // of what is stored
  Where where, k_where;
  std::int64_t kept_of(std::int64_t vocab) const;  // k with the choice made
};

struct TaskBlock {
  std::string path, name;  // of a choice task's file; of the task, task_name_of(path) unless the recipe gives another
  std::int64_t shots = 0;
  Where where;
};

// "winogrande" for data/winogrande.jsonl.gz.
std::string task_name_of(const fs::path& path);

struct EvalBlock {
  std::int64_t windows = 0, seq_length = 0, shots = 0;
  std::vector<TaskBlock> tasks;
};

struct ExportBlock {
  std::string dtype;
  std::int64_t shard_bytes = 0;
};

struct Recipe {
  std::string name;
  fs::path file;
  std::string text;  // the file as it was read
  std::uint64_t seed = 0;
  fs::path output;
  std::vector<fs::path> plugins;
  TeacherBlock teacher;
  DataBlock data;
  std::optional<TrainBlock> correct;
  ScoreBlock score;
  std::vector<PruneBlock> prune;
  std::optional<SearchBlock> search;  // chooses the keep of every [[prune]] block that its axes name
  std::optional<TrainBlock> distill;
  std::optional<TeacherCacheBlock> teacher_cache;
  // The teacher is cut as it is given, and only distillation sees the corrected one.
  bool prunes_original() const { return correct && correct->prune_from == "original"; }
  // Distillation compares with another model than [teacher].
  bool has_distill_teacher() const { return distill && !distill->teacher.empty(); }
  EvalBlock eval;
  ExportBlock export_block;
  // [lock]: digests that a lock file promises, by what they are of ("teacher", "plugin importance", …).
  std::map<std::string, std::string> locked;
};

// One --set key.sub=value; `key.0.sub` reaches into lists. The value is TOML, or a bare string.
using Overrides = std::vector<std::string>;

// Reads, extends, overrides and checks all but the components' own options, collecting every problem in `diagnostics`;
// the recipe is whole only when there is none. Relative paths in a recipe are relative to the working directory, but
// `extends` to the recipe's folder. Throws Error when `file` cannot be read.
Recipe parse_recipe(const fs::path& file, const Overrides& overrides, Diagnostics& diagnostics);

// The recipe with every default resolved, as TOML that parse_recipe reads back to the same thing. Components list every
// field with its value; `fields` gives a component's field list.
using FieldsOf = std::function<std::vector<FieldInfo>(const ComponentBlock&)>;
std::string to_toml(const Recipe& recipe, const FieldsOf& fields);
std::string search_text(const SearchBlock& search);  // the table alone

}  // namespace espalier
