// SPDX-License-Identifier: Apache-2.0
#include "core/recipe/foreign_names.hpp"

namespace espalier {
namespace {

struct ForeignName {
  const char* table;
  const char* foreign;
  const char* ours;
};

// "train" stands for [correct] and [distill].
constexpr ForeignName kForeignNames[] = {
    {"", "output_dir", "output"},
    {"", "save", "output"},
    {"", "save_model", "output"},
    {"teacher", "model", "path"},
    {"teacher", "model_name_or_path", "path"},
    {"teacher", "load", "path"},
    {"spec", "model_type", "family"},
    {"spec", "hidden_size", "hidden"},
    {"spec", "intermediate_size", "ffn"},
    {"spec", "ffn_hidden_size", "ffn"},
    {"spec", "num_hidden_layers", "layers"},
    {"spec", "num_layers", "layers"},
    {"spec", "num_attention_heads", "heads"},
    {"spec", "num_key_value_heads", "kv_groups"},
    {"spec", "num_query_groups", "kv_groups"},
    {"spec", "kv_channels", "head_dim"},
    {"spec", "vocab_size", "vocab"},
    {"spec", "tie_word_embeddings", "tied"},
    {"spec", "max_position_embeddings", "max_positions"},
    {"spec", "rms_norm_eps", "norm_eps"},
    {"spec", "layer_norm_eps", "norm_eps"},
    {"spec", "rotary_base", "rope_theta"},
    {"data", "data_path", "train"},
    {"data", "train_files", "train"},
    {"data", "validation", "valid"},
    {"data", "seq_len", "seq_length"},
    {"data", "sequence_length", "seq_length"},
    {"data", "max_length", "seq_length"},
    {"data", "max_seq_length", "seq_length"},
    {"data", "block_size", "seq_length"},
    {"score", "nsamples", "samples"},
    {"score", "num_samples", "samples"},
    {"score", "calib_size", "samples"},
    {"score", "calib_num_samples", "samples"},
    {"score", "seq_len", "seq_length"},
    {"score", "batch_size", "micro_batch"},
    {"score", "calib_batch_size", "micro_batch"},
    {"train", "lr", "scheduler = { peak = … }"},
    {"train", "learning_rate", "scheduler = { peak = … }"},
    {"train", "min_lr", "scheduler = { min = … }"},
    {"train", "warmup", "scheduler = { warmup_steps = … }"},
    {"train", "warmup_steps", "scheduler = { warmup_steps = … }"},
    {"train", "lr_warmup_iters", "scheduler = { warmup_steps = … }"},
    {"train", "lr_scheduler_type", "scheduler = { name = … }"},
    {"train", "train_iters", "steps"},
    {"train", "max_steps", "steps"},
    {"train", "train_samples", "tokens"},
    {"train", "global_batch_size", "global_batch"},
    {"train", "train_batch_size", "global_batch"},
    {"train", "micro_batch_size", "micro_batch"},
    {"train", "per_device_train_batch_size", "micro_batch"},
    {"train", "gradient_accumulation_steps", "global_batch"},
    {"train", "gradient_checkpointing", "recompute"},
    {"train", "activation_checkpointing", "recompute"},
    {"train", "recompute_granularity", "recompute"},
    {"train", "weight_decay", "optimizer = { weight_decay = … }"},
    {"train", "adam_beta1", "optimizer = { beta1 = … }"},
    {"train", "adam_beta2", "optimizer = { beta2 = … }"},
    {"train", "adam_eps", "optimizer = { eps = … }"},
    {"train", "adam_epsilon", "optimizer = { eps = … }"},
    {"train", "max_grad_norm", "clip_grad"},
    {"train", "save_interval", "save_every"},
    {"train", "save_steps", "save_every"},
    {"train", "save_total_limit", "keep_last"},
    {"train", "eval_interval", "eval_every"},
    {"train", "eval_steps", "eval_every"},
    {"train", "eval_iters", "eval_windows"},
    {"train", "log_interval", "log_every"},
    {"train", "logging_steps", "log_every"},
    {"train", "temperature", "losses = [ { temperature = … } ]"},
    {"train", "seq_length", "seq_length in [data]"},
    {"eval", "num_fewshot", "shots"},
    {"search", "max_width_pruning", "axes = [ { max_removed = … } ]"},
    {"search", "max_depth_pruning", "axes = [ { max_removed = … } ]"},
    {"search", "params", "budget = [ { by = \"parameters\", at_most = … } ]"},
    {"search", "memory_mb", "budget = [ { by = \"memory\", at_most = … } ]"},
    {"export", "torch_dtype", "dtype"},
    {"export", "max_shard_size", "shard_size"},
};

}  // namespace

std::string our_name(std::string_view table, std::string_view foreign) {
  if (table == "correct" || table == "distill") table = "train";
  for (const ForeignName& row : kForeignNames) {
    if (table == row.table && foreign == row.foreign) return row.ours;
  }
  return "";
}

}  // namespace espalier
