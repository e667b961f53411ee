// SPDX-License-Identifier: Apache-2.0
// How fast models generate and how much memory that takes, all of them in one run: rounds over the models, so that what
// the machine does meanwhile meets each of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "core/forward/model.hpp"

namespace espalier {

struct SpeedSubject {
  std::string name;       // in reports
  std::string digest;     // of the model
  WeightSource* weights;  // not owned
};

struct SpeedOptions {
  std::int64_t batch = 1;            // texts at a time
  std::int64_t prompt_tokens = 128;  // of each text
  std::int64_t new_tokens = 32;      // of each text, at least 2: the first belongs to the prompt
  std::int64_t repeats = 5;          // measured rounds
  at::Tensor prompt = {};            // (batch, prompt_tokens) int64; undefined: counted, token i is i modulo vocabulary
  std::string prompt_name = {};      // where it comes from
};

// speed.json: {"schema": 1, "protocol": {…}, "models": […]}, models in the order given. Of each model:
//   time_to_first_token_ms             from the prompt to the first new token on the host, all texts of the batch
//   prefill_tokens_per_s               tokens of all prompts in that time
//   decode_tokens_per_s                new tokens of all texts behind the first ones, in the time they took
//   decode_tokens_per_s_per_sequence   of one text
//   weights_bytes, cache_bytes, activation_bytes, peak_bytes (their sum); weights that are fetched layer by layer count
//                                      among the activations, and "weights" says so
//   spread                             {number: {"min", "max"}}
// The numbers are medians over the repeats. Every model generates once before, and there its memory is counted. Errors
// as generate's, and RecipeError for options out of range.
nlohmann::json measure_speed(const std::vector<SpeedSubject>& subjects, const SpeedOptions& options);

}  // namespace espalier
