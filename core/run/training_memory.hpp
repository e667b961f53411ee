// SPDX-License-Identifier: Apache-2.0
// The memory of [correct] and [distill], from the specs alone.
#pragma once

#include <map>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "core/run/run.hpp"
#include "core/train/memory.hpp"

namespace espalier {

// What a process needs on a device beside tensors: on the CPU the program with LibTorch and the plugins, on a GPU the
// driver's context, kernels, and workspaces of libraries.
std::int64_t program_bytes(at::Device device);

Recompute recompute_of(const TrainBlock& block);
at::ScalarType moments_of(const TrainBlock& block);
at::ScalarType gradients_of(const TrainBlock& block);         // of bfloat16 weights; float32's are float32
bool needs_teacher(const Run& run, const TrainBlock& block);  // does a loss compare with one?

// What each table's step needs where it computes as `compute` says, by the table's name.
std::map<std::string, TrainShape> training_shapes(const Run& run, const ModelSpec& student, Compute compute);

// Throws RecipeError at micro_batch, with the largest that would do, when a step cannot fit what is free of the run's
// device now. Of one table; "": of those whose stage has never ended. Stages ask again before they load anything.
void check_training_memory(Run& run, const ModelSpec& student, const std::string& table = "");

// For `espalier plan`: in float32 on the CPU, in bfloat16 on a GPU.
std::string training_memory_lines(const Run& run, const ModelSpec& student);
nlohmann::json training_memory_json(const Run& run, const ModelSpec& student);

}  // namespace espalier
