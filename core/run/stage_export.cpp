// SPDX-License-Identifier: Apache-2.0
// The folder that others load: the last student (or the teacher, in a run that only trains one) in the export dtype,
// with the tokenizer and its provenance.
#include "core/base/digest.hpp"
#include "core/base/log.hpp"
#include "core/run/provenance.hpp"
#include "core/run/save_model.hpp"
#include "core/run/stages.hpp"
#include "core/run/training.hpp"

namespace espalier {

namespace {

// What the student learnt from, where that is not the model which was pruned.
bool learnt_from_another(const Recipe& recipe) { return recipe.has_distill_teacher() || recipe.prunes_original(); }

// The config and shape of what is exported; its weights come from here too unless training has changed them.
const Checkpoint& shape_source(Run& run) { return run.recipe().prune.empty() ? run.teacher() : run.student(); }

at::ScalarType export_dtype(Run& run) {
  const std::string& name = run.recipe().export_block.dtype;
  if (!name.empty()) return dtype_from_config(name, run.recipe().file.string());
  // The dtype of the teacher that the recipe names, as `plan` counts: a correction keeps its result in float32.
  return run.recipe().teacher.spec ? run.teacher().dtype() : run.given_teacher().dtype();
}

void write_untrained(const Checkpoint& from, CheckpointWriter& writer) {
  for (const Parameter& parameter : writer.parameters()) {
    writer.write(from.tensor(parameter));
    from.forget(parameter);
  }
}

}  // namespace

std::string export_inputs(Run& run) {
  Digest digest;
  digest.add(run.teacher().digest()).add(run.output_of("slice")).add(run.output_of("distill"));
  if (learnt_from_another(run.recipe())) digest.add(run.distill_teacher().digest());
  digest.add(run.recipe().export_block.dtype).add(std::to_string(run.recipe().export_block.shard_bytes));
  return digest.hex();
}

std::string run_export(Run& run) {
  const Checkpoint& source = shape_source(run);
  SaveRequest request;
  request.folder = run.files().exported();
  request.spec = source.spec();
  request.base_config = source.config();
  for (std::size_t i = 0; i < source.spec().layers.size(); ++i)
    request.layer_of.push_back(static_cast<std::int64_t>(i));
  request.dtype = export_dtype(run);
  request.shard_bytes = run.recipe().export_block.shard_bytes;
  request.side_files = run.teacher().side_files();
  request.provenance = provenance_of(run);
  if (learnt_from_another(run.recipe())) {
    request.provenance["distill_teacher_digest"] = run.distill_teacher().digest();
  }
  CheckpointWriter writer = open_writer(request);
  if (run.recipe().distill) {
    write_trained(run.files().checkpoints(), writer);
  } else {
    write_untrained(source, writer);
  }
  writer.commit();
  for (const std::string& note : compatibility_notes(request.spec)) spdlog::warn("{:<8} {}", "export", note);
  return Checkpoint(request.folder).digest();
}

}  // namespace espalier
