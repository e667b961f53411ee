// SPDX-License-Identifier: Apache-2.0
// Students of a plan on the disk, and what verify says of them.
#pragma once

#include <ATen/ATen.h>
#include <unistd.h>  // access

#include <functional>

#include "core/prune/slicer.hpp"
#include "core/prune/verify.hpp"
#include "core/run/save_model.hpp"
#include "tests/support/tiny_model.hpp"

namespace espalier::test {

// In memory where the system has such a place: every checkpoint is synced, and hundreds of them are written.
struct QuickFolder : TemporaryFolder {
  QuickFolder() : TemporaryFolder(access("/dev/shm", W_OK) == 0 ? fs::path("/dev/shm") : fs::temp_directory_path()) {}
};

// A change that a test makes to the student on its way to the disk.
using Tamper = std::function<void(const Parameter&, at::Tensor&)>;

inline void write_student(const fs::path& folder, const Checkpoint& teacher, const Plan& plan,
                          const Tamper& tamper = {}) {
  SaveRequest request;
  request.folder = folder;
  request.spec = plan.student;
  request.base_config = teacher.config();
  request.layer_of = plan.layer_of;
  request.dtype = teacher.dtype();
  CheckpointWriter writer = open_writer(request);
  if (!tamper) {
    slice(teacher, plan, writer);
  } else {
    for (const Parameter& parameter : writer.parameters()) {
      at::Tensor tensor = TensorSlice(teacher, plan, parameter).block(0).clone();
      tamper(parameter, tensor);
      writer.write(tensor);
    }
  }
  writer.commit();
}

inline at::Tensor tokens() { return at::arange(40, at::kLong).mul(7).remainder(31).reshape({2, 20}); }

inline VerifyReport verified(const Checkpoint& teacher, const Plan& plan, const fs::path& student_folder) {
  const Checkpoint student(student_folder);
  VerifyReport report;
  verify_tensors(teacher, plan, student, report);
  verify_states(teacher, plan, student, tokens(), report);
  return report;
}

}  // namespace espalier::test
