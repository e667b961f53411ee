// SPDX-License-Identifier: Apache-2.0
// The matrices that metrics with Needs::readers are shown, number by number.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "espalier/testkit/specs.hpp"
#include "tests/core/importance/collector.hpp"

using espalier::AxisInfo;
using espalier::Dim;
using espalier::Evidence;
using espalier::LayerSpec;
using espalier::Model;
using espalier::ModelSpec;
using espalier::Needs;
using espalier::Role;
using espalier::ScoreOptions;
using espalier::Scratch;
using espalier::Tap;
using espalier::Weights;
using espalier::testing::Album;
using espalier::testing::axis_of;
using espalier::testing::collecting;
using espalier::testing::options_of;
using espalier::testing::random_tokens;
using espalier::testing::Shown;
using espalier::testing::Streamed;

namespace {

constexpr std::int64_t kReaderSeq = 6;

Needs with_readers(Tap tap) {
  Needs needs{Evidence::activations, tap};
  needs.readers = true;
  return needs;
}

// Shown of a layer, in the order of the forward pass.
std::vector<const Shown*> of_layer(const Album& album, std::int64_t layer) {
  std::vector<const Shown*> found;
  for (const auto& shown : album) {
    if (shown->site.layer == layer) found.push_back(shown.get());
  }
  return found;
}

// readers[u][c][o] = matrices[o][column_of(u, c)] for all of them.
void check_readers(const Shown& shown, const std::vector<at::Tensor>& matrices,
                   const std::function<std::int64_t(std::int64_t, std::int64_t)>& column_of) {
  REQUIRE(shown.readers.size() == 1);
  CHECK(shown.readers_first);
  const at::Tensor& readers = shown.readers.front();
  CHECK((readers.scalar_type() == at::kFloat));
  CHECK_FALSE(readers.requires_grad());
  const at::Tensor all = at::cat(matrices).detach();
  REQUIRE(readers.sizes() == at::IntArrayRef({shown.site.units, shown.site.channels, all.size(0)}));
  for (std::int64_t u = 0; u < readers.size(0); ++u) {
    for (std::int64_t c = 0; c < readers.size(1); ++c) CHECK(at::equal(readers[u][c], all.select(1, column_of(u, c))));
  }
}

struct Albums {
  Album hidden, ffn, heads, groups, in_group;
};

void collect(espalier::WeightSource& weights, Albums& albums, const ScoreOptions& options) {
  const Scratch scratch;
  AxisInfo in_group = axis_of("heads");  // head i of every group
  in_group.name = "in_group", in_group.dims = {Dim::heads_per_group};
  score(weights,
        {collecting(albums.hidden, axis_of("hidden"), with_readers(Tap::norm_output)),
         collecting(albums.ffn, axis_of("ffn"), with_readers(Tap::fc2_input)),
         collecting(albums.heads, axis_of("heads"), with_readers(Tap::o_proj_input)),
         collecting(albums.groups, axis_of("kv_groups"), with_readers(Tap::o_proj_input)),
         collecting(albums.in_group, in_group, with_readers(Tap::o_proj_input))},
        {random_tokens(scratch, "a", 100, 31, 3)}, options);
}

void check_layer(const ModelSpec& spec, std::int64_t layer, const Weights& w, const Albums& albums) {
  const LayerSpec& shape = spec.layers[static_cast<std::size_t>(layer)];
  const auto itself = [](std::int64_t u, std::int64_t) { return u; };
  const std::vector<const Shown*> norms = of_layer(albums.hidden, layer), neurons = of_layer(albums.ffn, layer),
                                  heads = of_layer(albums.heads, layer), groups = of_layer(albums.groups, layer),
                                  in_group = of_layer(albums.in_group, layer);
  REQUIRE(norms.size() == (shape.attention ? 1U : 0U) + (shape.mlp ? 1U : 0U));
  REQUIRE(neurons.size() == (shape.mlp ? 1 : 0));
  REQUIRE(heads.size() == (shape.attention ? 1 : 0));
  if (shape.mlp) {
    check_readers(*norms.back(), spec.gated ? std::vector{w[Role::gate], w[Role::up]} : std::vector{w[Role::up]},
                  itself);
    check_readers(*neurons.front(), {w[Role::down]}, itself);
  }
  if (!shape.attention) return;
  const std::int64_t d = shape.head_dim, r = shape.heads_per_group;
  check_readers(*norms.front(), {w[Role::q], w[Role::k], w[Role::v]}, itself);
  check_readers(*heads.front(), {w[Role::o]}, [d](std::int64_t u, std::int64_t c) { return u * d + c; });
  check_readers(*groups.front(), {w[Role::o]}, [=](std::int64_t u, std::int64_t c) { return u * r * d + c; });
  check_readers(*in_group.front(), {w[Role::o]},
                [=](std::int64_t u, std::int64_t c) { return (c / d * r + u) * d + c % d; });
}

}  // namespace

TEST_CASE("every place is shown the matrices that read it once, before its first sample, for every family") {
  std::vector<ModelSpec> specs = {espalier::testkit::uneven_spec()};
  for (const char* family : espalier::testkit::kFamilies) specs.push_back(espalier::testkit::small_spec(family));
  for (const ModelSpec& spec : specs) {
    CAPTURE(spec.family);
    Model model(spec, 5, {at::kFloat, at::kCPU});
    Albums resident, streamed;
    collect(model, resident, options_of(5, kReaderSeq, 2));
    ScoreOptions tiles = options_of(5, kReaderSeq, 1);
    tiles.tile_bytes = 2 * kReaderSeq * spec.hidden * 4;  // two samples: the places are passed three times
    Streamed source(model);
    collect(source, streamed, tiles);
    for (std::int64_t l = 0; l < static_cast<std::int64_t>(spec.layers.size()); ++l) {
      check_layer(spec, l, model.layer(l), resident);
      check_layer(spec, l, model.layer(l), streamed);
    }
  }
}

TEST_CASE("readers of bfloat16 weights are float32") {
  Model model(espalier::testkit::small_spec("nemotron"), 5, {at::kBFloat16, at::kCPU});
  Albums albums;
  collect(model, albums, options_of(2, kReaderSeq, 1));
  const at::Tensor& readers = albums.ffn.front()->readers.front();
  CHECK((readers.scalar_type() == at::kFloat));
  CHECK(at::equal(readers[3][0], model.layer(0)[Role::down].detach().select(1, 3).to(at::kFloat)));
}

TEST_CASE("readers where no matrix reads, or beside other evidence, are refused") {
  const auto says = [](const AxisInfo& axis, const Needs& needs, const char* text) {
    Album album;
    CHECK_THROWS_WITH_AS(needs_of(collecting(album, axis, needs)), text, espalier::Error);
  };
  says(axis_of("ffn"), with_readers(Tap::up_output),
       "metric 'collector' (plugin test 1.0) asks for the readers of a tap that no matrix reads; got 'up_output'; "
       "expected one of 'norm_output', 'fc2_input', 'o_proj_input'");
  Needs weights{Evidence::weights, Tap::none};
  weights.readers = true;
  says(axis_of("ffn"), weights,
       "metric 'collector' (plugin test 1.0) asks for readers of axis 'ffn' beside weights; expected them beside "
       "activations");
}
