// SPDX-License-Identifier: Apache-2.0
#include "core/importance/units.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "tests/core/importance/tiny.hpp"

using espalier::Dim;
using espalier::DimProduct;
using espalier::Split;
using espalier::split_at;
using espalier::testing::axis_of;
using espalier::testing::tiny_spec;

namespace {

const DimProduct kHeadChannels = {Dim::kv_groups, Dim::heads_per_group, Dim::head_dim};

}  // namespace

TEST_CASE("an axis is found as a run of factors of a tensor's dimension") {
  const espalier::ModelSpec spec = tiny_spec();
  const std::optional<Split> heads = split_at(spec, 0, kHeadChannels, {Dim::kv_groups, Dim::heads_per_group});
  REQUIRE(heads);
  CHECK(heads->outer == 1);
  CHECK(heads->units == 6);
  CHECK(heads->inner == 4);
  const std::optional<Split> groups = split_at(spec, 0, kHeadChannels, {Dim::kv_groups});
  REQUIRE(groups);
  CHECK(groups->units == 2);
  CHECK(groups->channels() == 12);
  const std::optional<Split> inner = split_at(spec, 0, kHeadChannels, {Dim::heads_per_group});
  REQUIRE(inner);
  CHECK(inner->outer == 2);
  CHECK(inner->units == 3);
  CHECK(inner->inner == 4);
  CHECK_FALSE(split_at(spec, 0, {Dim::kv_groups, Dim::head_dim}, {Dim::kv_groups, Dim::heads_per_group}));
  CHECK_FALSE(split_at(spec, 0, {Dim::hidden}, {Dim::ffn}));
}

TEST_CASE("a tap's channels come apart into units and their channels, outer factors too") {
  const at::Tensor x = at::arange(2 * 3 * 24, at::kFloat).view({2, 3, 24});
  const at::Tensor heads = espalier::units_of_tap(x, {1, 6, 4});
  CHECK((heads.sizes() == at::IntArrayRef({2, 3, 6, 4})));
  CHECK(at::equal(heads[1][2][5], x[1][2].narrow(0, 20, 4)));
  // units in the middle: unit 1 of 3 owns channels 4–7 of either group of 12
  const at::Tensor middle = espalier::units_of_tap(x, {2, 3, 4});
  CHECK((middle.sizes() == at::IntArrayRef({2, 3, 3, 8})));
  CHECK(at::equal(middle[0][1][1], at::cat({x[0][1].narrow(0, 4, 4), x[0][1].narrow(0, 16, 4)})));
}

TEST_CASE("a weight's rows or columns are shown unit by unit") {
  const at::Tensor weight = at::arange(24 * 5, at::kFloat).view({24, 5});
  espalier::for_unit_rows(weight, 0, {1, 6, 4}, [&](const at::Tensor& rows) {
    CHECK((rows.sizes() == at::IntArrayRef({6, 20})));
    CHECK(at::equal(std::get<0>(rows[2].sort()), weight.narrow(0, 8, 4).flatten()));
  });
  espalier::for_unit_rows(weight.t(), 1, {1, 6, 4}, [&](const at::Tensor& rows) {
    CHECK(at::equal(std::get<0>(rows[2].sort()), weight.narrow(0, 8, 4).flatten()));
  });
  espalier::for_unit_rows(weight.select(1, 0), 0, {1, 24, 1}, [&](const at::Tensor& rows) {
    CHECK((rows.sizes() == at::IntArrayRef({24, 1})));
  });
}

TEST_CASE("a large weight is shown in pieces that together are all of it") {
  const at::Tensor weight = at::ones({600, 40000}, at::kBFloat16);
  for (const std::int64_t dim : {0, 1}) {
    std::int64_t pieces = 0, elements = 0;
    espalier::for_unit_rows(weight, dim, {1, weight.size(dim), 1}, [&](const at::Tensor& rows) {
      CHECK(rows.size(0) == weight.size(dim));
      CHECK((rows.scalar_type() == at::kFloat));
      CHECK(rows.numel() <= (1 << 24));
      ++pieces, elements += rows.numel();
    });
    CHECK(pieces == 2);
    CHECK(elements == weight.numel());
  }
}

TEST_CASE("a layer without the part that has the units has none") {
  espalier::ModelSpec spec = tiny_spec();
  spec.layers[1].attention = false;
  spec.layers[2].mlp = false;
  CHECK(espalier::units_in(spec, axis_of("heads"), 0) == 6);
  CHECK(espalier::units_in(spec, axis_of("heads"), 1) == 0);
  CHECK(espalier::units_in(spec, axis_of("ffn"), 1) == 10);
  CHECK(espalier::units_in(spec, axis_of("ffn"), 2) == 0);
  CHECK(espalier::units_in(spec, axis_of("hidden"), -1) == 12);
  CHECK(espalier::units_in(spec, axis_of("layers"), -1) == 3);
  spec.layers[0].mlp = false;
  espalier::AxisInfo blocks = axis_of("layers");
  blocks.part = espalier::Part::attention;
  CHECK(espalier::units_in(spec, blocks, -1) == 2);
  CHECK(layers_with(spec, blocks.part) == std::vector<std::int64_t>{0, 2});
  blocks.part = espalier::Part::mlp;
  CHECK(layers_with(spec, blocks.part) == std::vector<std::int64_t>{1});
}
