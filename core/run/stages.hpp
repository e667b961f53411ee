// SPDX-License-Identifier: Apache-2.0
// The stages' own functions, one source file each. `…_inputs` gives the digest of what goes in, `run_…` does the work
// and returns the digest of what came out.
#pragma once

#include <string>
#include <vector>

#include "core/run/run.hpp"

namespace espalier {

// `…_written` gives the digest of what came out and is there, `…_basis` that of what decides its bytes beside the
// inputs.
std::string correct_inputs(Run& run);
std::string correct_basis(Run& run);
std::string correct_written(Run& run);
std::vector<fs::path> correct_products(const Run& run);
std::string run_correct(Run& run);

std::string score_inputs(Run& run);
std::string run_score(Run& run);

std::string search_inputs(Run& run);
std::string run_search(Run& run);

std::string plan_inputs(Run& run);
std::string run_plan(Run& run);
std::string plan_written(Run& run);

std::string slice_inputs(Run& run);
std::string run_slice(Run& run);
std::string slice_basis(Run& run);
std::string slice_written(Run& run);
void slice_personalise(Run& run);

std::string verify_inputs(Run& run);
std::string run_verify(Run& run);
std::string verify_written(Run& run);

std::string teacher_cache_inputs(Run& run);
std::string run_teacher_cache(Run& run);

std::string distill_inputs(Run& run);
std::string run_distill(Run& run);
std::string distill_written(Run& run);

std::string export_inputs(Run& run);
std::string run_export(Run& run);

std::string eval_inputs(Run& run);
std::string run_eval(Run& run);
bool eval_intact(const RunFiles& files, const std::string& output);

fs::path relative(const Run& run, const fs::path& path);  // below the run's folder
std::string side_files_digest(const Checkpoint& checkpoint);

std::string tokenizer_name(const Run& run);  // for reports: no path

// Counts only, without scores or weights: what `espalier plan` shows. With [search]: of the largest candidate.
Plan plan_from_config(const Run& run);
// The plan that recipe and saved scores lead to; and what it is after some of the rounds, whose scores are there.
Plan plan_from_scores(const Run& run);
Plan plan_after_round(const Run& run, std::int64_t round);
// What each block keeps after a round, as config.json counts it.
Indices keeps_of_round(const Run& run, std::int64_t round);

}  // namespace espalier
