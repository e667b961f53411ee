// SPDX-License-Identifier: Apache-2.0
// The teacher that the rest of the run uses: trained from random weights ([teacher] spec), corrected on the recipe's
// data (Minitron, arXiv 2408.11796, section 2), or both.
#include "core/base/digest.hpp"
#include "core/run/save_model.hpp"
#include "core/run/stages.hpp"
#include "core/run/training.hpp"
#include "core/run/training_memory.hpp"

namespace espalier {

namespace {

std::string origin_digest(Run& run) {
  if (!run.recipe().teacher.spec) return run.given_teacher().digest();
  return digest_of(spec_to_json(*run.recipe().teacher.spec).dump() + " seed " + std::to_string(run.recipe().seed));
}

Model starting_point(Run& run) {
  if (run.recipe().teacher.spec) return Model(*run.recipe().teacher.spec, run.recipe().seed, run.compute());
  return Model(run.given_teacher(), run.compute());
}

// Trained weights come from the last checkpoint, in float32: the model's own may be narrower.
void save(Run& run, Model& model) {
  SaveRequest request;
  request.folder = run.files().teacher();
  request.spec = model.spec();
  if (!run.recipe().teacher.spec) {
    request.base_config = run.given_teacher().config();
    request.side_files = run.given_teacher().side_files();
  }
  for (std::size_t i = 0; i < model.spec().layers.size(); ++i) request.layer_of.push_back(static_cast<std::int64_t>(i));
  CheckpointWriter writer = open_writer(request);
  if (run.recipe().correct) {
    write_trained(training_files(run, "correct").checkpoints, writer);
  } else {
    for (const at::Tensor& tensor : model.tensors()) writer.write(tensor.detach().to(at::kCPU));
  }
  writer.commit();
}

}  // namespace

std::string correct_inputs(Run& run) {
  Digest digest;
  digest.add(origin_digest(run));
  if (run.recipe().correct) digest.add(training_digest(run, *run.recipe().correct));
  return digest.hex();
}

std::string run_correct(Run& run) {
  if (run.recipe().correct) check_training_memory(run, run.teacher_spec(), "correct");
  Model model = starting_point(run);
  if (run.recipe().correct) {
    // A loss against a teacher compares with the model before correction.
    std::unique_ptr<WeightSource> before;
    if (!run.recipe().teacher.spec) before = std::make_unique<Model>(run.given_teacher(), run.compute());
    run_training(run, *run.recipe().correct, "correct", model, before.get());
  }
  if (!run.leads()) return "";
  save(run, model);
  return correct_written(run);
}

std::string correct_written(Run& run) { return run.teacher().digest(); }

std::string correct_basis(Run& run) {
  Digest digest;
  if (!run.recipe().teacher.spec) digest.add(side_files_digest(run.given_teacher()));
  if (run.recipe().correct) digest.add(training_basis(run, *run.recipe().correct, "correct"));
  return digest.hex();
}

std::vector<fs::path> correct_products(const Run& run) {
  std::vector<fs::path> products = {relative(run, run.files().teacher())};
  if (run.recipe().correct) {
    for (fs::path& path : training_products(run, "correct")) products.push_back(std::move(path));
  }
  return products;
}

}  // namespace espalier
