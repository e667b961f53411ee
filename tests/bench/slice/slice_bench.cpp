// SPDX-License-Identifier: Apache-2.0
// What the stage `slice` does, without the digests of teacher and student that a run takes before and after: from a
// checkpoint and a plan to a checkpoint. tests/bench/gpu/slice.py times it.
//
//   slice_bench TEACHER PLAN OUT
//
// Prints one JSON object: seconds of opening both sides, of slicing, and of the last fsync and renames.
#include <chrono>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "core/base/memory.hpp"
#include "core/checkpoint/checkpoint.hpp"
#include "core/prune/plan_json.hpp"
#include "core/prune/slicer.hpp"
#include "core/run/save_model.hpp"

int main(int count, char** values) {
  if (count != 4) {
    std::fputs("slice_bench TEACHER PLAN OUT\n", stderr);
    return 2;
  }
  espalier::keep_freed_memory();  // as the program does
  using Clock = std::chrono::steady_clock;
  Clock::time_point last = Clock::now();
  nlohmann::json result;
  const auto took = [&](const char* part) {
    const Clock::time_point now = Clock::now();
    result[part] = std::chrono::duration<double>(now - last).count();
    last = now;
  };
  try {
    const espalier::Checkpoint teacher(values[1]);
    const espalier::Plan plan = espalier::plan_from_json(espalier::read_json(values[2]), values[2]);
    espalier::SaveRequest request;
    request.folder = values[3];
    request.spec = plan.student;
    request.base_config = teacher.config();
    request.layer_of = plan.layer_of;
    request.dtype = teacher.dtype();
    request.side_files = teacher.side_files();
    espalier::CheckpointWriter writer = espalier::open_writer(request);
    took("open");
    espalier::slice(teacher, plan, writer);
    took("slice");
    writer.commit();
    took("commit");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  std::printf("%s\n", result.dump().c_str());
  return 0;
}
