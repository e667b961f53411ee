// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/cli/command_line.hpp"
#include "core/model/counts.hpp"
#include "core/model/layer_axis.hpp"
#include "core/prune/plan_json.hpp"
#include "core/run/scores.hpp"
#include "core/run/search.hpp"
#include "core/run/stages.hpp"
#include "core/run/teacher_cache.hpp"
#include "core/run/training_check.hpp"
#include "core/run/training_memory.hpp"

namespace espalier {

namespace {

std::string share(double part, double whole) { return fmt::format("{:5.1f} %", 100.0 * part / whole); }

std::string table(const Plan& plan, std::int64_t element, std::int64_t seq_length) {
  const Counts before = count(plan.teacher, element, seq_length), after = count(plan.student, element, seq_length);
  std::string text = fmt::format("{:<28}{:>20}{:>20}{:>10}\n", "", "teacher", "student", "kept");
  const auto row = [&](const std::string& name, std::int64_t a, std::int64_t b) {
    text += fmt::format("{:<28}{:>20}{:>20}{:>10}\n", name, with_commas(a), with_commas(b),
                        share(static_cast<double>(b), static_cast<double>(a)));
  };
  const auto layers = [](const ModelSpec& spec, Part part) {
    return static_cast<std::int64_t>(layers_with(spec, part).size());
  };
  // Sizes are those of the first layer that has the block.
  const auto first = [](const ModelSpec& spec, Part part) {
    const std::vector<std::int64_t> with = layers_with(spec, part);
    return spec.layers[with.empty() ? 0 : static_cast<std::size_t>(with.front())];
  };
  row("layers (num_hidden_layers)", layers(plan.teacher, Part::whole), layers(plan.student, Part::whole));
  for (const Part part : {Part::attention, Part::mlp}) {
    const std::int64_t there = layers(plan.student, part);
    if (there < layers(plan.student, Part::whole))
      row(fmt::format("  with {}", name_of(part)), layers(plan.teacher, part), there);
  }
  const LayerSpec attention = first(plan.teacher, Part::attention),
                  attention_left = first(plan.student, Part::attention);
  row("hidden (hidden_size)", plan.teacher.hidden, plan.student.hidden);
  row("ffn (intermediate_size)", first(plan.teacher, Part::mlp).ffn, first(plan.student, Part::mlp).ffn);
  row("heads (num_attention_heads)", attention.heads(), attention_left.heads());
  row("kv_groups (num_key_value_…)", attention.kv_groups, attention_left.kv_groups);
  row("head_dim", attention.head_dim, attention_left.head_dim);
  row("vocab (vocab_size)", plan.teacher.vocab, plan.student.vocab);
  row("parameters", before.parameters, after.parameters);
  row("non-embedding parameters", before.non_embedding_parameters, after.non_embedding_parameters);
  row("bytes of tensor data", before.bytes, after.bytes);
  row("FLOPs per token (forward)", before.flops_per_token, after.flops_per_token);
  row("KV-cache bytes per token", before.kv_bytes_per_token, after.kv_bytes_per_token);
  text += fmt::format(
      "\nFLOPs count the causal half of attention at sequences of {}; bytes are {} per parameter. Layers count from "
      "0.\n",
      seq_length, element);
  return text;
}

std::string training_lines(const Run& run) {
  const Recipe& recipe = run.recipe();
  std::string text;
  const auto line = [&](const char* name, const std::optional<TrainBlock>& block) {
    if (!block) return;
    text += fmt::format("{}: {} steps of {} sequences × {} tokens = {} tokens\n", name,
                        with_commas(block->total_steps()), block->global_batch, block->seq_length,
                        with_commas(block->total_steps() * block->tokens_per_step()));
  };
  line("correct", recipe.correct);
  line("distill", recipe.distill);
  if (recipe.teacher_cache) text += teacher_cache_line(teacher_cache_plan(run));
  return text;
}

// With [search]: every shape that the budgets leave, before any of them is tried.
int show_candidates(const Run& run, bool as_json) {
  const Candidates all = candidates_from_config(run);
  if (as_json) {
    print_json(search_to_json(all, {}, {}));
  } else {
    std::cout << search_to_text(all, {}, {}, {}) << training_lines(run);
  }
  return 0;
}

}  // namespace

int verb_plan(const Arguments& arguments) {
  CommandLine line("plan", po::options_description(), {"RECIPE"});
  if (!line.parse(arguments)) return 0;
  LoadedRecipe loaded = load_recipe(line.all("RECIPE").front(), line.overrides());
  const Run run(std::move(loaded.recipe), *loaded.registry, {at::kFloat, at::kCPU});
  const Plan plan = plan_from_config(run);
  check_training(run, plan.student);
  check_jobs(run);
  if (run.recipe().search) return show_candidates(run, line.json());
  const std::string& dtype = run.recipe().export_block.dtype;
  const auto element = static_cast<std::int64_t>(
      c10::elementSize(dtype.empty() ? run.teacher_dtype() : dtype_from_config(dtype, run.recipe().file.string())));
  if (line.json()) {
    nlohmann::json json = plan_to_json(plan, element, run.recipe().data.seq_length);
    if (run.recipe().teacher_cache) json["teacher_cache"] = teacher_cache_plan(run);
    json["training_memory"] = training_memory_json(run, plan.student);
    print_json(json);
    return 0;
  }
  std::cout << table(plan, element, run.recipe().data.seq_length) << training_lines(run)
            << training_memory_lines(run, plan.student);
  for (const std::string& note : compatibility_notes(plan.student)) std::cout << "note: " << note << "\n";
  return 0;
}

}  // namespace espalier
