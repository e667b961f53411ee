// SPDX-License-Identifier: Apache-2.0
#include "core/prune/planner.hpp"

#include <doctest/doctest.h>

#include "core/model/counts.hpp"
#include "core/prune/blocks.hpp"
#include "tests/core/prune/axes_fixture.hpp"
#include "tests/support/tiny_model.hpp"

namespace {

using namespace espalier;
using espalier::test::Cut;
using espalier::test::plan_of;
using espalier::test::tiny_spec;

// A Llama of the given sizes (minitron.md and the published model cards; arXiv 2408.11796 table 3).
ModelSpec published(const std::string& family, std::int64_t layers, std::int64_t hidden, std::int64_t heads,
                    std::int64_t ffn, std::int64_t vocab) {
  ModelSpec spec;
  spec.family = family;
  spec.hidden = hidden;
  spec.vocab = vocab;
  LayerSpec layer;
  layer.kv_groups = 8;
  layer.heads_per_group = heads / 8;
  layer.head_dim = 128;
  layer.ffn = ffn;
  spec.layers.assign(static_cast<std::size_t>(layers), layer);
  return spec;
}

std::string problem_of(const ModelSpec& spec, const std::vector<Cut>& cuts) {
  try {
    plan_of(spec, cuts, false);
  } catch (const RecipeError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("planned counts equal the published totals of the Minitron students") {
  const ModelSpec nemo = published("mistral", 40, 5120, 32, 14336, 131072);
  CHECK(count(nemo, 2, 4096).parameters == 12'247'782'400);
  CHECK(count(plan_of(nemo, {{"hidden", 4096}, {"ffn", 11520}}, false).student, 2, 4096).parameters == 8'414'105'600);
  const ModelSpec llama = published("llama", 32, 4096, 32, 14336, 128256);
  CHECK(count(llama, 2, 4096).parameters == 8'030'261'248);
  CHECK(count(plan_of(llama, {{"hidden", 3072}, {"ffn", 9216}}, false).student, 2, 4096).parameters == 4'512'746'496);
  CHECK(count(plan_of(llama, {{"layers", 16}}, false).student, 2, 4096).parameters == 4'540'469'248);
}

TEST_CASE("later steps see what earlier ones left, and selections stay in the teacher's numbering") {
  const Plan plan = plan_of(tiny_spec("llama"), {{"layers", 2}, {"kv_groups", 1}, {"heads", 2}, {"ffn", 7}});
  CHECK(plan.student.layers.size() == 2);
  CHECK(plan.student.layers[0].kv_groups == 1);
  CHECK(plan.student.layers[0].heads_per_group == 2);
  const AxisSelection& groups = plan.selections[1];
  const AxisSelection& heads = plan.selections[2];
  for (const std::int64_t layer : plan.layer_of) {
    const std::int64_t group = groups.kept.kept[static_cast<std::size_t>(layer)].front();
    for (const std::int64_t head : heads.kept.kept[static_cast<std::size_t>(layer)]) CHECK(head / 3 == group);
  }
}

TEST_CASE("blocks are numbered among the teacher's layers that have them, and only whole layers move others up") {
  ModelSpec spec = tiny_spec("llama");
  spec.layers.resize(5, spec.layers[0]);
  spec.layers[1].attention = false;  // attention blocks 0 1 2 3 are those of layers 0 2 3 4
  espalier::test::Cuts cuts(spec, {{"layers", 4}, {"attention_blocks", 2, {{"unequal", Value{true}}}}});
  const Scores layers{{at::tensor({5.0f, 4.0f, 1.0f, 3.0f, 2.0f})}}, blocks{{at::tensor({1.0f, 9.0f, 2.0f, 3.0f})}};
  cuts.steps[0].scores = &layers;
  cuts.steps[1].scores = &blocks;
  Diagnostics diagnostics;
  const Plan plan = make_plan(spec, cuts.steps, diagnostics);
  CHECK(plan.layer_of == Indices{0, 1, 3, 4});  // layer 2 goes, and block 1 with it
  CHECK(plan.selections[1].kept.kept == std::vector<Indices>{{2, 3}});
  CHECK(plan.selections[1].extent == 3);
  CHECK(plan.student.layers.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) CHECK(plan.student.layers[i].attention == (i >= 2));
  const ModelSpec masked = without_blocks(plan);
  for (std::size_t i = 0; i < 5; ++i) CHECK(masked.layers[i].attention == (i >= 3));
}

TEST_CASE("a layer without the block that has an axis's units keeps none of them") {
  const std::map<std::string, Value> unequal = {{"unequal", Value{true}}};
  const Plan plan = plan_of(tiny_spec("llama"), {{"attention_blocks", 1, unequal}, {"heads", 2}, {"kv_groups", 1}});
  const std::int64_t left = plan.selections[0].kept.kept[0][0];
  for (std::size_t layer = 0; layer < 3; ++layer) {
    const bool has = static_cast<std::int64_t>(layer) == left;
    CHECK(plan.selections[1].kept.kept[layer].size() == (has ? 2 : 0));
    CHECK(plan.selections[2].kept.kept[layer].size() == (has ? 1 : 0));
  }
  CHECK(plan.student.layers[static_cast<std::size_t>(left)].heads() == 1);
}

TEST_CASE("scores of runs are those of the teacher's layers, before any has gone") {
  ModelSpec spec = tiny_spec("llama");
  spec.layers.resize(6, spec.layers[0]);
  const std::map<std::string, Value> contiguous = {{"contiguous", Value{true}}};
  const auto planned = [&](const std::vector<Cut>& before, const at::Tensor& runs, std::int64_t keep) {
    std::vector<Cut> all = before;
    all.push_back({"layers", keep, contiguous});
    espalier::test::Cuts cuts(spec, all);
    const Scores scores{{runs}};
    cuts.steps.back().scores = &scores;
    Diagnostics diagnostics;
    return make_plan(spec, cuts.steps, diagnostics);
  };
  CHECK(planned({}, at::tensor({5.0f, 1.0f, 9.0f, 8.0f}), 3).layer_of == Indices{0, 4, 5});
  CHECK(planned({{"hidden", 16}, {"attention_blocks", 2, {{"unequal", Value{true}}}}},
                at::tensor({5.0f, 1.0f, 9.0f, 8.0f}), 3)
            .layer_of == Indices{0, 4, 5});
  CHECK_THROWS_WITH(planned({{"layers", 5}}, at::tensor({5.0f, 1.0f, 9.0f, 8.0f, 2.0f}), 3),
                    "scores of axis 'layers' are those of runs of the unpruned teacher; got 5 of its 6 units; expected "
                    "all of them");
  CHECK_THROWS_WITH(planned({}, at::tensor({5.0f, 1.0f, 9.0f}), 3),
                    "scores of axis 'layers' do not fit the model; got 3 units; expected at least 6");
}

TEST_CASE("a model without the blocks of an axis is refused") {
  ModelSpec spec = tiny_spec("llama");
  for (LayerSpec& layer : spec.layers) layer.mlp = false;
  CHECK_THROWS_WITH_AS(plan_of(spec, {{"mlp_blocks", 1, {{"unequal", Value{true}}}}}, false),
                       (std::string("in axis 'mlp_blocks' (plugin axes ") + ESPALIER_VERSION +
                        "): axis 'mlp_blocks' has nothing to cut; got a model in which no layer has that block")
                           .c_str(),
                       RecipeError);
}

TEST_CASE("a keep that the axis cannot give names its place and the nearest sizes") {
  const ModelSpec spec = tiny_spec("llama");
  CHECK(problem_of(spec, {{"heads", 5}})
            .find("recipe.toml:1:8: error: [prune] keep of axis 'heads' is not a size it can give; got 5; expected a "
                  "multiple of 2 up to 6 (nearest: 4, 6)") == 0);
  CHECK(problem_of(spec, {{"hidden", 25}})
            .find("recipe.toml:1:8: error: [prune] keep of axis 'hidden' is out of range; got 25; expected 1 to 24") ==
        0);
  CHECK(problem_of(spec, {{"hidden", 16}, {"layers", 0}})
            .find("recipe.toml:2:8: error: [prune] keep of axis 'layers' is out of range; got 0") == 0);
}

TEST_CASE("a ratio is rounded to the nearest size that the axis can give") {
  const ModelSpec spec = tiny_spec("llama");
  espalier::test::Cuts cuts(spec, {{"heads", 0}, {"ffn", 0, {{"granularity", Value{std::int64_t{8}}}}}}, false);
  PruneBlock heads = *cuts.steps[0].block, ffn = *cuts.steps[1].block;
  heads.keep = ffn.keep = std::nullopt;
  heads.ratio = 0.6;
  ffn.ratio = 0.55;
  cuts.steps[0].block = &heads;
  cuts.steps[1].block = &ffn;
  Diagnostics diagnostics;
  const Plan plan = make_plan(spec, cuts.steps, diagnostics);
  CHECK(diagnostics.empty());
  CHECK(plan.student.layers[0].heads() == 4);
  CHECK(plan.student.layers[0].ffn == 8);
}

TEST_CASE("keeping everything changes nothing") {
  const ModelSpec spec = tiny_spec("qwen2");
  const Plan plan = plan_of(spec, {{"hidden", 24}, {"ffn", 20}, {"heads", 6}, {"kv_groups", 2}, {"layers", 3}});
  CHECK(plan.student == spec);
}
