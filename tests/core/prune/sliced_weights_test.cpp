// SPDX-License-Identifier: Apache-2.0
#include "core/prune/sliced_weights.hpp"

#include <doctest/doctest.h>

#include "core/prune/slicer.hpp"
#include "core/run/save_model.hpp"
#include "tests/core/prune/axes_fixture.hpp"
#include "tests/support/tiny_model.hpp"

namespace {

using namespace espalier;
using espalier::test::plan_of;
using espalier::test::TemporaryFolder;
using espalier::test::tiny_spec;
using espalier::test::write_tiny;

const Compute kCompute{at::kFloat, at::kCPU};

}  // namespace

TEST_CASE("a sliced view gives what slice would write, and so does a model made of it") {
  for (const char* family : {"llama", "qwen3", "nemotron"}) {  // qwen3 ties its embeddings
    CAPTURE(family);
    const TemporaryFolder folder;
    const Checkpoint teacher(write_tiny(folder / "teacher", tiny_spec(family), 11, at::kBFloat16));
    const Plan plan = plan_of(teacher.spec(), {{"layers", 2}, {"hidden", 17}, {"ffn", 9}, {"heads", 4}});
    SaveRequest request;
    request.folder = folder / "student";
    request.spec = plan.student;
    request.base_config = teacher.config();
    request.layer_of = plan.layer_of;
    request.dtype = teacher.dtype();
    CheckpointWriter writer = open_writer(request);
    slice(teacher, plan, writer);
    writer.commit();
    const Checkpoint student(folder / "student");

    SlicedWeights view(teacher, plan, kCompute);
    Model model(static_cast<WeightSource&>(view));
    for (const Parameter& parameter : parameters(plan.student)) {
      CAPTURE(parameter.name);
      const at::Tensor written = student.tensor(parameter).to(at::kFloat);
      const auto held = [&](WeightSource& source) {
        return (parameter.layer < 0 ? source.outer() : source.layer(parameter.layer))[parameter.role];
      };
      CHECK(at::equal(held(view), written));
      CHECK(at::equal(held(model), written));
    }
    CHECK(view.outer()[Role::head].defined());
  }
}
