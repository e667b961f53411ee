// SPDX-License-Identifier: Apache-2.0
#include "core/prune/slicer.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "tests/core/prune/axes_fixture.hpp"
#include "tests/core/prune/student.hpp"

namespace {

using namespace espalier;
using espalier::test::plan_of;
using espalier::test::QuickFolder;
using espalier::test::tiny_spec;
using espalier::test::write_tiny;

at::Tensor selected(const at::Tensor& tensor, std::int64_t dim, const std::optional<Indices>& kept) {
  return kept ? tensor.index_select(dim, at::tensor(*kept, at::kLong)) : tensor;
}

}  // namespace

TEST_CASE("a slice is the kept rows and columns of the teacher's tensor, whatever its dtype") {
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf, at::kFloat}) {
    CAPTURE(dtype);
    const QuickFolder folder;
    const Checkpoint teacher(write_tiny(folder / "teacher", tiny_spec("llama"), 5, dtype));
    const Plan plan = plan_of(teacher.spec(), {{"layers", 2}, {"hidden", 17}, {"ffn", 9}, {"heads", 4}});
    for (const Parameter& parameter : parameters(plan.student)) {
      CAPTURE(parameter.name);
      const TensorSlice slice(teacher, plan, parameter);
      std::vector<at::Tensor> blocks;
      for (std::int64_t i = 0; i < slice.blocks(); ++i) blocks.push_back(slice.block(i));
      const Parameter& source = slice.source();
      at::Tensor expected = teacher.tensor(source);
      for (std::size_t dim = 0; dim < source.dims.size(); ++dim) {
        expected =
            selected(expected, static_cast<std::int64_t>(dim), kept_positions(plan, source.layer, source.dims[dim]));
      }
      CHECK(at::equal(at::cat(blocks), expected));
    }
  }
}
