// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "core/base/digest.hpp"
#include "core/base/progress.hpp"
#include "core/prune/slicer.hpp"
#include "core/run/provenance.hpp"
#include "core/run/save_model.hpp"
#include "core/run/stages.hpp"

namespace espalier {

std::string slice_inputs(Run& run) {
  return Digest()
      .add(run.pruned_model().digest())
      .add(run.output_of("plan"))
      .add(std::to_string(run.recipe().export_block.shard_bytes))
      .hex();
}

std::string run_slice(Run& run) {
  const Plan plan = run.plan();
  const Checkpoint& teacher = run.pruned_model();
  SaveRequest request;
  request.folder = run.files().student();
  request.spec = plan.student;
  request.base_config = teacher.config();
  request.layer_of = plan.layer_of;
  request.dtype = teacher.dtype();
  request.shard_bytes = run.recipe().export_block.shard_bytes;
  request.side_files = teacher.side_files();
  request.provenance = provenance_of(run);
  CheckpointWriter writer = open_writer(request);
  std::int64_t total = 0;
  for (const Parameter& parameter : writer.parameters()) {
    total += parameter.elements() * static_cast<std::int64_t>(c10::elementSize(request.dtype));
  }
  ProgressBar bar("slice", total);
  slice(teacher, plan, writer, [&](std::int64_t written) { bar.update(written); });
  writer.commit();
  return slice_written(run);
}

std::string slice_basis(Run& run) { return side_files_digest(run.pruned_model()); }
std::string slice_written(Run& run) { return run.student().digest(); }

void slice_personalise(Run& run) { write_json(run.files().student() / kProvenanceFile, provenance_of(run)); }

}  // namespace espalier
