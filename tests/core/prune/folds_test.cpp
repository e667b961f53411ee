// SPDX-License-Identifier: Apache-2.0
#include "core/prune/folds.hpp"

#include <doctest/doctest.h>

#include "core/prune/plan_json.hpp"
#include "tests/core/prune/axes_fixture.hpp"
#include "tests/core/prune/student.hpp"

namespace {

using namespace espalier;
using espalier::test::Cut;
using espalier::test::Cuts;
using espalier::test::QuickFolder;
using espalier::test::tiny_spec;
using espalier::test::verified;
using espalier::test::write_student;
using espalier::test::write_tiny;

Plan plan_with(const ModelSpec& teacher, const std::vector<PruneStep>& steps) {
  Diagnostics diagnostics;
  Plan plan = make_plan(teacher, steps, diagnostics);
  diagnostics.throw_if_any();
  return plan;
}

// A matrix, or a bias as one of one column, as numbers.
struct Numbers {
  at::Tensor values;
  explicit Numbers(const at::Tensor& tensor)
      : values(tensor.to(at::kDouble).reshape({tensor.size(0), -1}).contiguous()) {}
  double at(std::int64_t row, std::int64_t column) const {
    return values.const_data_ptr<double>()[row * values.size(1) + column];
  }
};

// Of a group of three heads: the middle one by its score, and the weakest.
struct Pair {
  std::int64_t kept = 0, pruned = 0;
};
Pair pair_of(const at::Tensor& scores, std::int64_t first) {
  std::vector<std::int64_t> heads = {first, first + 1, first + 2};
  std::sort(heads.begin(), heads.end(),
            [&](std::int64_t a, std::int64_t b) { return scores[a].item<float>() > scores[b].item<float>(); });
  return {heads[1], heads[2]};
}

// Element by element: where the fold changes something, what it is there; elsewhere the teacher's.
void check_residual(const at::Tensor& got, const at::Tensor& teacher, const Indices& kept, const at::Tensor& scores,
                    std::int64_t head_dim, bool rows, bool folded, bool printed) {
  const Numbers before(teacher), after(got);
  const std::int64_t other = before.values.size(rows ? 1 : 0);
  const bool bfloat = got.scalar_type() == at::kBFloat16;
  std::int64_t wrong = 0;
  for (std::size_t h = 0; h < kept.size(); ++h) {
    const Pair pair = pair_of(scores, kept[h] / 3 * 3);
    for (std::int64_t d = 0; d < head_dim; ++d) {
      for (std::int64_t i = 0; i < other; ++i) {
        const auto weight = [&](const Numbers& numbers, std::int64_t head) {
          const std::int64_t along = head * head_dim + d;
          return rows ? numbers.at(along, i) : numbers.at(i, along);
        };
        double expected = weight(before, kept[h]);
        if (folded && kept[h] == pair.kept) {
          const double difference = expected - weight(before, pair.pruned);
          expected += printed ? difference : -difference;
        }
        // Once to float32, then to the stored dtype; the products by 2, 1, 0 and -1 are exact.
        const auto single = static_cast<float>(expected);
        const double rounded = bfloat ? static_cast<float>(c10::BFloat16(single)) : single;
        wrong += weight(after, static_cast<std::int64_t>(h)) == rounded ? 0 : 1;
      }
    }
  }
  CHECK(wrong == 0);
}

// An axis over ffn whose folds the test says.
class TellingAxis final : public PruningAxis {
 public:
  explicit TellingAxis(std::vector<Fold> folds) : folds_(std::move(folds)) {}
  AxisInfo describe() const override {
    AxisInfo info;
    info.name = "telling";
    info.unit = "neuron";
    info.dims = {Dim::ffn};
    return info;
  }
  std::int64_t extent(const ModelSpec& spec) const override { return spec.layers.front().ffn; }
  std::int64_t step(const ModelSpec&) const override { return 1; }
  Selection select(const ModelSpec& spec, const Scores&, std::int64_t keep) const override {
    Selection selection;
    for (std::size_t l = 0; l < spec.layers.size(); ++l) {
      selection.kept.emplace_back();
      for (std::int64_t unit = 0; unit < keep; ++unit) selection.kept.back().push_back(2 * unit);  // 0, 2, 4, …
    }
    return selection;
  }
  ModelSpec shrink(const ModelSpec& spec, const Selection& selection) const override {
    ModelSpec smaller = spec;
    for (LayerSpec& layer : smaller.layers) layer.ffn = static_cast<std::int64_t>(selection.kept.front().size());
    return smaller;
  }
  std::vector<Fold> folds(const ModelSpec&, const Scores&, const Selection&) const override { return folds_; }

 private:
  std::vector<Fold> folds_;
};

Fold fold_of(std::vector<Dim> product, int dimension, std::int64_t layer, std::int64_t unit, std::int64_t from,
             double own, double other) {
  Fold fold;
  fold.product = std::move(product);
  fold.dimension = dimension;
  fold.layer = layer;
  fold.unit = unit;
  fold.from = from;
  fold.own = own;
  fold.other = other;
  return fold;
}

Scores flat_scores(const ModelSpec& spec) {
  Scores scores;
  for (const LayerSpec& layer : spec.layers) scores.per_layer.push_back(at::ones({layer.ffn}));
  return scores;
}

// The plan of one telling axis that keeps units 0, 2, 4, 6 of ffn, after the given cuts.
Plan told(const ModelSpec& teacher, const std::vector<Fold>& folds, const std::vector<Cut>& before = {}) {
  Cuts cuts(teacher, before);
  const TellingAxis axis(folds);
  const Scores scores = flat_scores(teacher);
  PruneBlock block;
  block.keep = 4;
  std::vector<PruneStep> steps = cuts.steps;
  steps.push_back({&axis, &block, "telling", &scores});
  return plan_with(teacher, steps);
}

std::string refusal_of(const Fold& fold) {
  try {
    told(tiny_spec("llama"), {fold});
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

const std::vector<Dim> kFfn = {Dim::ffn};

}  // namespace

TEST_CASE("the head residual changes what it should in every family, tensor, sign and dtype, and nothing else") {
  for (const char* family : {"llama", "mistral", "qwen2", "qwen3", "nemotron"}) {
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      const QuickFolder folder;
      const Checkpoint teacher(write_tiny(folder / "teacher", tiny_spec(family), 11, dtype));
      for (const std::string tensors : {"q_proj", "o_proj", "both"}) {
        for (const std::string sign : {"kept_minus_pruned", "pruned_minus_kept"}) {
          CAPTURE(family);
          CAPTURE(tensors);
          CAPTURE(sign);
          const Cuts cuts(teacher.spec(), {{"heads", 4, {{"residual", {sign}}, {"residual_tensors", {tensors}}}}});
          const Plan plan = plan_with(teacher.spec(), cuts.steps);
          for (const Parameter& parameter : parameters(plan.student)) {
            const Parameter source = source_of(plan, parameter);
            const bool q = parameter.role == Role::q || parameter.role == Role::q_bias, o = parameter.role == Role::o;
            const at::Tensor got = TensorSlice(teacher, plan, parameter).block(0);
            CHECK((got.scalar_type() == dtype));
            if (!q && !o) {
              CHECK(at::equal(got, teacher.tensor(source)));
              continue;
            }
            const auto layer = static_cast<std::size_t>(source.layer);
            check_residual(got, teacher.tensor(source), plan.selections[0].kept.kept[layer],
                           cuts.steps[0].scores->per_layer[layer], teacher.spec().layers[layer].head_dim, q,
                           tensors == "both" || tensors == (q ? "q_proj" : "o_proj"), sign == "kept_minus_pruned");
          }
          write_student(folder / "student", teacher, plan);
          const VerifyReport report = verified(teacher, plan, folder / "student");
          CHECK_MESSAGE(report.passed(), (report.passed() ? "" : report.problems.front()));
        }
      }
    }
  }
}

TEST_CASE(
    "folds that follow each other on one unit take from the unfolded weights; layers keep the teacher's numbers") {
  const QuickFolder folder;
  const Checkpoint teacher(write_tiny(folder / "teacher", tiny_spec("llama"), 5));
  // 2 := 3·(0.5·w2 + 1·w1) − 2·w0, where w0 is not the new 0; 0 := w3; in the second of the layers that are left.
  const Plan plan = told(teacher.spec(),
                         {fold_of(kFfn, 0, 1, 0, 3, 0.0, 1.0), fold_of(kFfn, 0, 1, 2, 1, 0.5, 1.0),
                          fold_of(kFfn, 0, 1, 2, 0, 3.0, -2.0), fold_of(kFfn, 1, 1, 4, 5, 1.0, 0.25)},
                         {{"layers", 2}});
  const std::int64_t layer = plan.layer_of[1];
  CHECK(plan.selections[1].folds[3].layer == layer);
  write_student(folder / "student", teacher, plan);
  const Checkpoint student(folder / "student");
  const std::string from = "model.layers." + std::to_string(layer) + ".mlp.", to = "model.layers.1.mlp.";
  const auto named = [](const Checkpoint& checkpoint, const std::string& name) {
    for (const Parameter& parameter : checkpoint.parameters()) {
      if (parameter.name == name) return checkpoint.tensor(parameter).to(at::kDouble);
    }
    return at::Tensor();
  };
  for (const char* name : {"gate_proj.weight", "up_proj.weight", "gate_proj.bias"}) {
    const at::Tensor w = named(teacher, from + name), got = named(student, to + name);
    // Three roundings to float32 of numbers below 8.
    CHECK(at::allclose(got[1], 3 * (0.5 * w[2] + w[1]) - 2 * w[0], 0, 2e-6));
    CHECK(at::equal(got[0], w[3]));
    CHECK(at::equal(got[2], w[4]));
  }
  const at::Tensor w = named(teacher, from + "down_proj.weight").t(), got = named(student, to + "down_proj.weight").t();
  CHECK(at::allclose(got[2], w[4] + 0.25 * w[5], 0, 1e-6));
  CHECK(at::equal(got[0], w[0]));
  CHECK(at::equal(named(student, "model.layers.0.mlp.up_proj.weight"),
                  named(teacher, "model.layers." + std::to_string(plan.layer_of[0]) + ".mlp.up_proj.weight")
                      .index_select(0, at::tensor({0, 2, 4, 6}, at::kLong))));
  CHECK(verified(teacher, plan, folder / "student").passed());
}

TEST_CASE("a wrong fold is found by the hidden states, without the slicer's help") {
  const QuickFolder folder;
  const Checkpoint teacher(write_tiny(folder / "teacher", tiny_spec("mistral"), 5));
  Plan plan = told(teacher.spec(), {fold_of(kFfn, 0, 1, 2, 1, 0.5, 1.0)});
  write_student(folder / "student", teacher, plan);
  plan.selections[0].folds[0].other = 1.001;
  const VerifyReport report = verified(teacher, plan, folder / "student");
  REQUIRE(report.problems.size() == 3);  // gate, up, and the states
  CHECK(report.problems[2].find("layer 1 (the teacher's layer 1): hidden states") == 0);
}

TEST_CASE("folds take from rows outside their block") {
  ModelSpec spec = tiny_spec("mistral");
  spec.hidden = 150'000;  // three rows of float32 are a block
  spec.vocab = 2;
  spec.layers.resize(1);
  spec.layers[0].kv_groups = spec.layers[0].heads_per_group = 1;
  spec.layers[0].head_dim = 2;
  const QuickFolder folder;
  const Checkpoint teacher(write_tiny(folder / "teacher", spec, 5));
  const Plan plan = told(spec, {fold_of(kFfn, 0, 0, 0, 19, 2.0, -1.0), fold_of(kFfn, 0, 0, 6, 0, 2.0, -1.0)});
  for (const Parameter& parameter : parameters(plan.student)) {
    if (parameter.role != Role::up) continue;
    const TensorSlice slice(teacher, plan, parameter);
    REQUIRE(slice.blocks() == 2);
    const at::Tensor w = teacher.tensor(source_of(plan, parameter));
    CHECK(at::equal(slice.block(0)[0], 2 * w[0] - w[19]));
    CHECK(at::equal(slice.block(0)[2], w[4]));
    CHECK(at::equal(slice.block(1)[0], 2 * w[6] - w[0]));
  }
}

TEST_CASE("folds survive the way through plan.json, and a plan without them reads as before") {
  const Plan plan = told(tiny_spec("llama"), {fold_of(kFfn, 0, 1, 2, 1, 0.1, -2.0), fold_of(kFfn, 0, 2, 4, 1, 1.0, 0.5),
                                              fold_of(kFfn, 1, 0, 0, 19, 1.0, 1e-300)});
  nlohmann::json json = plan_to_json(plan, 4, 64);
  const nlohmann::json& folds = json["axes"][0]["folds"];
  REQUIRE(folds.size() == 2);
  CHECK(folds[0] == nlohmann::json::parse(R"({"product": ["ffn"], "dimension": 0, "layer": [1, 2], "unit": [2, 4],
                                              "from": [1, 1], "own": [0.1, 1.0], "other": [-2.0, 0.5]})"));
  CHECK(plan_to_json(plan_from_json(json, "plan.json"), 4, 64) == json);
  nlohmann::json damaged = json;
  damaged["axes"][0]["folds"][1]["from"][0] = 20;
  CHECK_THROWS_WITH(
      plan_from_json(damaged, "plan.json"),
      "plan.json: folds of axis 'telling' are damaged; got layer 0, dimension 1, units 0 and 20; expected "
      "what the teacher has");
  damaged["axes"][0]["folds"][1].erase("own");
  CHECK_THROWS_AS(plan_from_json(damaged, "plan.json"), Error);
  json["axes"][0].erase("folds");
  CHECK(plan_from_json(json, "plan.json").selections[0].folds.empty());
  CHECK_FALSE(plan_to_json(told(tiny_spec("llama"), {}), 4, 64)["axes"][0].contains("folds"));
}

TEST_CASE("a fold that cannot be is an error that names the axis") {
  CHECK(refusal_of(fold_of(kFfn, 0, 3, 0, 0, 1, 0)) ==
        "axis 'telling': fold 0 names a layer that is not there; got 3; expected 0 to 2");
  CHECK(refusal_of(fold_of(kFfn, 2, 0, 0, 0, 1, 0)) ==
        "axis 'telling': fold 0 has no such dimension; got 2; expected 0 or 1");
  CHECK(refusal_of(fold_of(kFfn, 0, 0, 0, 20, 1, 0)) ==
        "axis 'telling': fold 0 names a unit that is not there; got 20; expected 0 to 19");
  CHECK(refusal_of(fold_of(kFfn, 0, 0, 1, 0, 1, 0)) ==
        "axis 'telling': fold 0 is of a unit that goes; got 1; expected one that is kept");
  CHECK(refusal_of(fold_of({Dim::hidden}, 0, 0, 0, 0, 1, 0)) ==
        "axis 'telling': fold 0 is of a product without the axis's units; got 'hidden'; expected 'ffn' in it");
  CHECK(refusal_of(fold_of({Dim::ffn, Dim::hidden}, 0, 0, 0, 0, 1, 0)) ==
        "axis 'telling': fold 0 changes nothing; got 'ffn × hidden' as dimension 0, which no tensor of layer 0 has; "
        "expected one that is there");
  CHECK(refusal_of(fold_of(kFfn, 0, 0, 0, 1, std::nan(""), 0)) ==
        "axis 'telling': fold 0 has a factor that is no number; got nan and 0; expected finite ones");
}

TEST_CASE("the residual needs half of the heads, and says so before anything is scored") {
  ModelSpec spec = tiny_spec("llama");
  CHECK_THROWS_WITH_AS(espalier::test::plan_of(spec, {{"heads", 2, {{"residual", {std::string("kept_minus_pruned")}}}}},
                                               /*scored=*/false),
                       "in axis 'heads' (plugin axes " ESPALIER_VERSION
                       "): residual of axis 'heads' pairs each pruned head with a kept one of its "
                       "group; got 1 of 3 heads kept in layer 0; expected at least 2",
                       RecipeError);
}
