// SPDX-License-Identifier: Apache-2.0
// The keys of every table, once: the reader takes names, defaults and ranges from here, the writer names and order.
#pragma once

#include <string>

#include "core/recipe/recipe.hpp"
#include "core/recipe/search_reader.hpp"
#include "core/recipe/teacher_spec.hpp"

namespace espalier {

inline Limits share() { return {.minimum = 0.0, .maximum = 1.0, .minimum_excluded = true, .choices = {}}; }

template <class V>
void visit_fields(V& v, DataBlock& data) {
  v.sources("train", data.train);
  v.sources("valid", data.valid);
  v("valid_fraction", data.valid_fraction, 0.0, between(0, 0.5));
  v.sources("calibration", data.calibration);
  v("tokenizer", data.tokenizer, "", any());
  v("token_type", data.token_type, "", one_of({"", "uint8", "uint16", "int32"}));
  v("seq_length", data.seq_length, 1024, at_least(2));
  v("deduplicate", data.deduplicate, false, any());
}

template <class V>
void visit_fields(V& v, ScoreBlock& score, const DataBlock& data) {
  v("samples", score.samples, 1024, at_least(1));
  v("seq_length", score.seq_length, data.seq_length, at_least(2));
  v("micro_batch", score.micro_batch, 1, at_least(1));
  v("rounds", score.rounds, 1, between(1, 1000));
}

template <class V>
void visit_fields(V& v, OptimizerBlock& optimizer) {
  v("beta1", optimizer.beta1, 0.9, between(0, 1));
  v("beta2", optimizer.beta2, 0.95, between(0, 1));
  v("eps", optimizer.eps, 1e-8, above(0));
  v("weight_decay", optimizer.weight_decay, 0.1, at_least(0));
  v("moments", optimizer.moments, "float32", one_of({"float32", "bfloat16"}));
  v("gradients", optimizer.gradients, "float32", one_of({"float32", "bfloat16"}));
}

// [distill] or [correct]: what a student starts from and learns from belongs to the one, what is pruned to the other.
template <class V>
void visit_fields(V& v, TrainBlock& train, bool distills) {
  v.tokens("tokens", train.tokens);
  v.optional("steps", train.steps, at_least(1));
  v("global_batch", train.global_batch, 32, at_least(1));
  v("micro_batch", train.micro_batch, 1, at_least(1));
  v("recompute", train.recompute, "none", one_of({"none", "cheap", "layers"}));
  v("cuda_graph", train.cuda_graph, false, any());
  v.losses("losses", train.losses);
  v("balance", train.balance, "fixed", one_of({"fixed", "dynamic"}));
  v.component("scheduler", train.scheduler, "scheduler");
  v.table("optimizer", train.optimizer);
  v("clip_grad", train.clip_grad, 1.0, at_least(0));
  v("save_every", train.save_every, 500, at_least(0));
  v("keep_last", train.keep_last, 2, at_least(1));
  v("eval_every", train.eval_every, 100, at_least(0));
  v("eval_windows", train.eval_windows, 64, at_least(1));
  v("log_every", train.log_every, 10, at_least(1));
  if (distills) v("init", train.init, "pruned", one_of({"pruned", "random"}));
  if (distills) {
    v.path("teacher", train.teacher, "");
    v.path("teacher_config", train.teacher_config, "");
  }
  if (!distills) v("prune_from", train.prune_from, "corrected", one_of({"corrected", "original"}));
}

template <class V>
void visit_fields(V& v, TeacherCacheBlock& cache) {
  v("k", cache.k, 0, at_least(0));
  v("dtype", cache.dtype, "float32", one_of({"float32", "bfloat16", "float16"}));
}

template <class V>
void visit_fields(V& v, EvalBlock& eval, const DataBlock& data) {
  v("windows", eval.windows, 0, at_least(0));
  v("seq_length", eval.seq_length, data.seq_length, at_least(2));
  v("shots", eval.shots, 0, at_least(0));
  v.tasks("tasks", eval.tasks, eval.shots);
}

template <class V>
void visit_fields(V& v, ExportBlock& block) {
  v("dtype", block.dtype, "", one_of({"", "float32", "bfloat16", "float16"}));
  v.bytes("shard_size", block.shard_bytes, 5'000'000'000);
}

template <class V>
void visit_fields(V& v, SearchAxis& axis) {
  v.required("axis", axis.axis, any());
  v.list("keep", axis.keep, above(0));
  v.optional("ratio_of", axis.ratio_of, any());
  v.optional("from", axis.from, at_least(1));
  v.optional("to", axis.to, at_least(1));
  v.optional("step", axis.step, at_least(1));
  v.optional("max_removed", axis.max_removed, between(0, 1));
}

template <class V>
void visit_fields(V& v, SearchBudget& budget) {
  v.required("by", budget.by, one_of(budget_numbers()));
  v.amount("target", budget.target);
  v.amount("at_least", budget.at_least);
  v.amount("at_most", budget.at_most);
  v.optional("tolerance", budget.tolerance, between(0, 1));
  v.optional("batch", budget.batch, at_least(1));
  v.optional("sequence", budget.sequence, at_least(1));
  v.optional("dtype", budget.dtype, one_of({"float32", "bfloat16", "float16"}));
}

template <class V>
void visit_fields(V& v, SearchBlock& search) {
  v.blocks("axes", search.axes, "a list of { axis = \"…\", keep = [ … ] }");
  v.blocks("budget", search.budget, "a list of { by = \"…\", at_most = … }");
  v("data", search.data, "", one_of({"", "valid", "calibration"}));
  v("windows", search.windows, 64, at_least(0));
  v("top_k", search.top_k, 20, at_least(0));
  v.list("rounds", search.rounds, at_least(1));
  v("keep", search.keep, 0.5, share());
  v("save_every", search.save_every, 0, at_least(0));
  v("throughput", search.throughput, false, any());
}

template <class V>
void visit_fields(V& v, SpecFields& spec) {
  v.required("family", spec.family, one_of(spec_families()));
  // Far beyond every published model, and every product of extents stays inside 63 bits.
  v.required("layers", spec.layers, between(1, 10000));
  v.required("hidden", spec.hidden, between(1, 1 << 20));
  v.required("heads", spec.heads, between(1, 1 << 12));
  v("kv_groups", spec.kv_groups, spec.heads, between(1, 1 << 12));
  v.required("head_dim", spec.head_dim, between(1, 1 << 12));
  v.required("ffn", spec.ffn, between(1, 1 << 20));
  v.required("vocab", spec.vocab, between(1, 1 << 24));
  v("tied", spec.tied, false, any());
  v("rope_theta", spec.rope_theta, 10000.0, above(0));
  v("norm_eps", spec.norm_eps, 1e-5, above(0));
  v("max_positions", spec.max_positions, 4096, at_least(1));
}

}  // namespace espalier
