// SPDX-License-Identifier: Apache-2.0
#include "core/prune/plan.hpp"

#include <doctest/doctest.h>

#include "core/prune/plan_json.hpp"
#include "tests/support/tiny_model.hpp"

namespace {

using namespace espalier;

AxisSelection selection(const std::string& name, std::vector<Dim> dims, bool shared, std::vector<Indices> kept) {
  AxisSelection result;
  result.info.name = name;
  result.info.unit = "unit";
  result.info.dims = std::move(dims);
  result.info.shared = shared;
  result.kept.kept = std::move(kept);
  return result;
}

// One layer, 2 KV groups × 2 heads × head_dim 2.
Plan small_plan() {
  Plan plan;
  plan.teacher = espalier::test::tiny_spec("llama");
  plan.teacher.layers.resize(1);
  plan.teacher.layers[0].heads_per_group = 2;
  plan.teacher.layers[0].head_dim = 2;
  plan.student = plan.teacher;
  plan.layer_of = {0};
  plan.scored = true;
  return plan;
}

const DimProduct kQueryRows = {Dim::kv_groups, Dim::heads_per_group, Dim::head_dim};
const DimProduct kKeyRows = {Dim::kv_groups, Dim::head_dim};

}  // namespace

TEST_CASE("a dimension that nothing cuts is kept whole") {
  CHECK_FALSE(kept_positions(small_plan(), 0, kQueryRows).has_value());
}

TEST_CASE("heads cut the rows of q_proj in blocks of head_dim and leave k_proj alone") {
  Plan plan = small_plan();
  plan.selections.push_back(selection("heads", {Dim::kv_groups, Dim::heads_per_group}, false, {{1, 2}}));
  CHECK(kept_positions(plan, 0, kQueryRows) == Indices{2, 3, 4, 5});
  CHECK_FALSE(kept_positions(plan, 0, kKeyRows).has_value());
}

TEST_CASE("a KV group takes its query heads with it") {
  Plan plan = small_plan();
  plan.selections.push_back(selection("kv_groups", {Dim::kv_groups}, false, {{1}}));
  CHECK(kept_positions(plan, 0, kQueryRows) == Indices{4, 5, 6, 7});
  CHECK(kept_positions(plan, 0, kKeyRows) == Indices{2, 3});
}

TEST_CASE("selections of several axes on one dimension intersect") {
  Plan plan = small_plan();
  plan.selections.push_back(selection("kv_groups", {Dim::kv_groups}, false, {{1}}));
  plan.selections.push_back(selection("heads", {Dim::kv_groups, Dim::heads_per_group}, false, {{0, 3}}));
  CHECK(kept_positions(plan, 0, kQueryRows) == Indices{6, 7});
  plan.selections.push_back(selection("head_dim", {Dim::head_dim}, false, {{1}}));
  CHECK(kept_positions(plan, 0, kQueryRows) == Indices{7});
}

TEST_CASE("a plan survives the way through plan.json") {
  Plan plan = small_plan();
  plan.selections.push_back(selection("hidden", {Dim::hidden}, true, {{0, 5, 7}}));
  plan.selections.push_back(selection("ffn", {Dim::ffn}, false, {{1, 2, 19}}));
  plan.student.hidden = 3;
  plan.student.layers[0].ffn = 3;
  const nlohmann::json json = plan_to_json(plan, 2, 64);
  CHECK(json["selections"]["hidden"] == nlohmann::json({0, 5, 7}));
  CHECK(json["selections"]["ffn"] == nlohmann::json::array({{1, 2, 19}}));
  CHECK(json["student"]["bytes"] == 2 * json["student"]["parameters"].get<std::int64_t>());
  const Plan back = plan_from_json(json, "plan.json");
  CHECK(back.teacher == plan.teacher);
  CHECK(back.student == plan.student);
  CHECK(back.layer_of == plan.layer_of);
  CHECK(back.selections[1].kept == plan.selections[1].kept);
}

TEST_CASE("plan.json says which part of a layer the units of an axis are; without a word they are whole layers") {
  Plan plan = small_plan();
  plan.teacher.layers.resize(3, plan.teacher.layers[0]);
  plan.teacher.layers[0].attention = false;  // units are the attentions of layers 1 and 2
  plan.student = plan.teacher;
  plan.student.layers[1].attention = false;
  plan.layer_of = {0, 1, 2};
  plan.selections.push_back(selection("attention_blocks", {Dim::layers}, true, {{1}}));
  plan.selections[0].info.part = Part::attention;
  plan.selections.push_back(selection("layers", {Dim::layers}, true, {{0, 1, 2}}));
  const nlohmann::json json = plan_to_json(plan, 2, 64);
  CHECK(json["axes"][0]["part"] == "attention");
  CHECK_FALSE(json["axes"][1].contains("part"));
  const Plan back = plan_from_json(json, "plan.json");
  CHECK(back.selections[0].info.part == Part::attention);
  CHECK(back.selections[1].info.part == Part::whole);
  CHECK(back.student == plan.student);

  const auto refused = [&](const char* pointer, const nlohmann::json& value, const char* text) {
    nlohmann::json damaged = json;
    damaged[nlohmann::json::json_pointer(pointer)] = value;
    CHECK_THROWS_WITH(plan_from_json(damaged, "plan.json"), text);
  };
  refused("/selections/attention_blocks", {2},
          "plan.json: selection of axis 'attention_blocks' is damaged; got unit 2 after -1; expected ascending units "
          "below 2");
  refused("/selections/attention_blocks", {0},
          "plan.json: layer 1 of the student does not have the blocks that the selections leave");
  refused("/axes/0/part", "norm",
          "plan.json: unknown part of a layer; got 'norm'; expected 'layer', 'attention' or 'mlp'");
  refused("/axes/0/shared", false,
          "plan.json: axis 'attention_blocks' is damaged; got layers that each layer chooses; expected shared");
  refused("/layer_of", {0, 1}, "plan.json: layer_of is damaged; got 2 layers; expected 3");
}

TEST_CASE("a damaged plan.json is refused with the place") {
  Plan plan = small_plan();
  plan.selections.push_back(selection("ffn", {Dim::ffn}, false, {{1, 2, 19}}));
  nlohmann::json json = plan_to_json(plan, 2, 64);
  json["selections"]["ffn"][0][2] = 20;
  CHECK_THROWS_WITH(
      plan_from_json(json, "plan.json"),
      "plan.json: selection of axis 'ffn' is damaged; got unit 20 after 2; expected ascending units below 20");
  json["selections"]["ffn"][0] = {3, 3, 4};
  CHECK_THROWS_AS(plan_from_json(json, "plan.json"), Error);
  json["selections"].erase("ffn");
  CHECK_THROWS_AS(plan_from_json(json, "plan.json"), Error);
}
