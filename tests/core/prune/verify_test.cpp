// SPDX-License-Identifier: Apache-2.0
#include "core/prune/verify.hpp"

#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "core/model/counts.hpp"
#include "tests/core/prune/axes_fixture.hpp"
#include "tests/core/prune/student.hpp"
#include "tests/support/tiny_model.hpp"

namespace {

using namespace espalier;
using espalier::test::Cut;
using espalier::test::plan_of;
using espalier::test::QuickFolder;
using espalier::test::tiny_spec;
using espalier::test::verified;
using espalier::test::write_student;
using espalier::test::write_tiny;

const std::map<std::string, Value> kGlobal = {{"ranking", {std::string("global")}}, {"unequal", {true}}};

const std::vector<std::string> kFamilies = {"llama", "mistral", "qwen2", "qwen3", "nemotron"};

const std::map<std::string, Value> kUnequal = {{"unequal", Value{true}}};

struct Sliced {
  QuickFolder folder;
  Checkpoint teacher;
  Plan plan;
  Sliced(const std::string& family, const std::vector<Cut>& cuts)
      : teacher(write_tiny(folder / "teacher", tiny_spec(family), 11)), plan(plan_of(teacher.spec(), cuts)) {}
};

}  // namespace

TEST_CASE("masked equals sliced for every family, every axis and their combinations") {
  const std::vector<std::vector<Cut>> combinations = {
      {{"hidden", 17}},
      {{"ffn", 9}},
      {{"heads", 4}},
      {{"kv_groups", 1}},
      {{"head_dim", 4}},
      {{"head_dim", 2}, {"heads", 4}, {"hidden", 17}},
      {{"kv_groups", 1}, {"head_dim", 4}, {"layers", 2}},
      {{"heads", 4, {{"residual", {std::string("kept_minus_pruned")}}}}, {"head_dim", 4}},
      {{"head_dim", 4}, {"head_dim", 2}, {"heads", 4, {{"residual", {std::string("pruned_minus_kept")}}}}},
      {{"ffn", 9, {{"ranking", {std::string("sum")}}}}, {"heads", 4, {{"ranking", {std::string("sum")}}}}},
      {{"ffn", 9, kGlobal}, {"heads", 4, kGlobal}, {"hidden", 16}},
      {{"layers", 2}},
      {{"layers", 1, {{"contiguous", Value{true}}}}},
      {{"hidden", 13}, {"ffn", 11}},
      {{"heads", 2}, {"kv_groups", 1}},
      {{"kv_groups", 1}, {"heads", 2}, {"hidden", 16}, {"ffn", 5}, {"layers", 2}},
      {{"layers", 2}, {"ffn", 5}, {"hidden", 16}, {"heads", 4}},
      {{"attention_blocks", 1, kUnequal}},
      {{"mlp_blocks", 2, kUnequal}},
      {{"attention_blocks", 2, kUnequal}, {"layers", 2}, {"mlp_blocks", 1, kUnequal}},
      {{"layers", 2}, {"attention_blocks", 1, kUnequal}, {"mlp_blocks", 1, kUnequal}},
      {{"attention_blocks", 2, kUnequal}, {"heads", 2}, {"kv_groups", 1}, {"hidden", 16}},
      {{"heads", 2}, {"kv_groups", 1}, {"hidden", 16}, {"attention_blocks", 1, kUnequal}},
      {{"mlp_blocks", 1, kUnequal}, {"ffn", 5}, {"hidden", 13}, {"layers", 2, {{"contiguous", Value{true}}}}},
      {{"attention_blocks", 2, kUnequal},
       {"head_dim", 4},
       {"heads", 4, {{"residual", {std::string("kept_minus_pruned")}}}}},
      {{"ffn", 5}, {"mlp_blocks", 2, kUnequal}, {"layers", 2}, {"heads", 4}, {"attention_blocks", 1, kUnequal}}};
  for (const std::string& family : kFamilies) {
    for (const std::vector<Cut>& cuts : combinations) {
      CAPTURE(family);
      CAPTURE(cuts.front().axis);
      const Sliced sliced(family, cuts);
      write_student(sliced.folder / "student", sliced.teacher, sliced.plan);
      const VerifyReport report = verified(sliced.teacher, sliced.plan, sliced.folder / "student");
      CHECK_MESSAGE(report.passed(), (report.passed() ? "" : report.problems.front()));
      CHECK(report.tokens == 40);
      CHECK(report.states == static_cast<std::int64_t>(sliced.plan.layer_of.size()) + 2);
    }
  }
}

TEST_CASE("the student of an axis of blocks lacks their tensors, and its folder says so and is read back") {
  const Sliced sliced("qwen3", {{"attention_blocks", 2, kUnequal}, {"mlp_blocks", 1, kUnequal}});
  write_student(sliced.folder / "student", sliced.teacher, sliced.plan);
  const Checkpoint student(sliced.folder / "student");
  CHECK(student.spec() == sliced.plan.student);
  for (std::size_t layer = 0; layer < 3; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    std::size_t attention = 0, mlp = 0;
    for (const Parameter& parameter : student.parameters()) {
      if (parameter.name.find(prefix) != 0) continue;
      const bool of_mlp = parameter.name.find(".mlp.") != std::string::npos ||
                          parameter.name.find("post_attention_layernorm") != std::string::npos;
      ++(of_mlp ? mlp : attention);
    }
    CHECK(attention == (sliced.plan.student.layers[layer].attention ? 7 : 0));
    CHECK(mlp == (sliced.plan.student.layers[layer].mlp ? 4 : 0));
  }
}

TEST_CASE("a student that lacks another block than its plan says is found by the states") {
  const Sliced sliced("llama", {{"attention_blocks", 2, kUnequal}});
  write_student(sliced.folder / "student", sliced.teacher, sliced.plan);
  Plan wrong = sliced.plan;
  const std::vector<Indices> choices = {{0, 1}, {0, 2}, {1, 2}};
  const Indices& right = sliced.plan.selections[0].kept.kept[0];
  wrong.selections[0].kept.kept[0] = right == choices[0] ? choices[1] : choices[0];
  const Checkpoint student(sliced.folder / "student");
  VerifyReport report;
  verify_states(sliced.teacher, wrong, student, espalier::test::tokens(), report);
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].find("hidden states of the student and the masked teacher differ") != std::string::npos);
}

TEST_CASE(
    "a smaller head_dim computes what the teacher does without the channels that went, its scale of attention as it "
    "was") {
  // By hand: the teacher in one layer of plain attention, in which q, k and v have zeros in those channels.
  for (const std::string type : {"default", "linear", "llama3"}) {
    ModelSpec spec = tiny_spec("llama");
    spec.layers.resize(1);
    spec.layers[0].mlp = true;
    spec.rope.type = type;
    spec.rope.factor = 4.0;
    spec.rope.original_max_positions = 16;
    const QuickFolder folder;
    const Checkpoint teacher(write_tiny(folder / "teacher", spec, 11));
    for (const std::int64_t keep : {2, 4}) {
      CAPTURE(type);
      CAPTURE(keep);
      const Plan plan = plan_of(spec, {{"head_dim", keep}});
      write_student(folder / "student", teacher, plan);
      const Checkpoint student(folder / "student");
      StreamedWeights zeroed(teacher, {at::kDouble, at::kCPU}), small(student, {at::kDouble, at::kCPU});
      Weights weights = zeroed.layer(0);
      for (const Role role : {Role::q, Role::k, Role::v, Role::q_bias, Role::k_bias, Role::v_bias}) {
        at::Tensor heads = weights[role].view({-1, 6, weights[role].numel() / weights[role].size(0)});
        const at::Tensor mask = at::zeros({6, 1}, at::kDouble);
        for (const std::int64_t channel : plan.selections[0].kept.kept[0]) mask[channel] = 1.0;
        heads.mul_(mask);
      }
      const at::Tensor x = embed(zeroed.outer(), espalier::test::tokens(), nullptr);
      const auto attend = [&](const ModelSpec& of, const Weights& with) {
        const Rotary rotary = rotary_table(of.rope, of.layers[0].head_dim, x.size(1), at::kDouble, at::kCPU);
        return attention_block(of, 0, with, rotary, x, nullptr);
      };
      // q is scaled in float32, 2^-24 of it; the logits are sums of some tens.
      CHECK(at::allclose(attend(spec, weights), attend(student.spec(), small.layer(0)), 1e-5, 1e-5));
    }
  }
}

TEST_CASE("the planned bytes are the bytes of tensor data that are written, in every stored dtype") {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const QuickFolder folder;
    const Checkpoint teacher(write_tiny(folder / "teacher", tiny_spec("qwen3"), 3, dtype));
    const Plan plan = plan_of(teacher.spec(), {{"hidden", 16}, {"layers", 2}});
    write_student(folder / "student", teacher, plan);
    const SafetensorsFile file(folder / "student/model.safetensors");
    std::int64_t bytes = 0;
    for (const TensorInfo& info : file.tensors()) bytes += static_cast<std::int64_t>(info.end - info.begin);
    CHECK(bytes == count(plan.student, static_cast<std::int64_t>(c10::elementSize(dtype)), 1).bytes);
    CHECK(verified(teacher, plan, folder / "student").passed());
  }
}

TEST_CASE("one wrong value in one tensor is named with its layer and place") {
  const Sliced sliced("llama", {{"hidden", 16}, {"layers", 2}});
  write_student(sliced.folder / "student", sliced.teacher, sliced.plan,
                [](const Parameter& parameter, at::Tensor& tensor) {
                  if (parameter.name == "model.layers.1.mlp.down_proj.weight") tensor[3][4] += 0.01;
                });
  const VerifyReport report = verified(sliced.teacher, sliced.plan, sliced.folder / "student");
  REQUIRE_FALSE(report.passed());
  const std::string layer = "layer 1 (the teacher's layer " + std::to_string(sliced.plan.layer_of[1]) + ")";
  CHECK(report.problems[0].find(
            layer + ": tensor model.layers.1.mlp.down_proj.weight is not the teacher's kept part; at [3, 4] got") == 0);
  CHECK(report.problems[1].find(layer + ": hidden states of the student and the masked teacher differ") == 0);
}

TEST_CASE("one wrong index is named by the first tensor that it touches") {
  const Sliced sliced("nemotron", {{"ffn", 9}});
  Plan wrong = sliced.plan;
  Indices& kept = wrong.selections[0].kept.kept[1];
  for (std::int64_t unit = 0; unit < 20; ++unit) {  // replaces the last kept unit by one that was dropped
    if (std::find(kept.begin(), kept.end(), unit) == kept.end() && unit > kept[7]) {
      kept[8] = unit;
      break;
    }
  }
  REQUIRE(wrong.selections[0].kept.kept != sliced.plan.selections[0].kept.kept);
  write_student(sliced.folder / "student", sliced.teacher, wrong);
  const VerifyReport report = verified(sliced.teacher, sliced.plan, sliced.folder / "student");
  REQUIRE(report.problems.size() == 3);  // both tensors that name ffn, and the states
  CHECK(report.problems[0].find("layer 1 (the teacher's layer 1): tensor model.layers.1.mlp.up_proj.weight") == 0);
  CHECK(report.problems[1].find("layer 1 (the teacher's layer 1): tensor model.layers.1.mlp.down_proj.weight") == 0);
  CHECK(report.problems[2].find("layer 1 (the teacher's layer 1): hidden states") == 0);
}

TEST_CASE("one wrong norm is named, by its tensor and by the states") {
  const Sliced sliced("qwen2", {{"hidden", 16}});
  write_student(sliced.folder / "student", sliced.teacher, sliced.plan,
                [](const Parameter& parameter, at::Tensor& tensor) {
                  if (parameter.role == Role::final_norm) tensor.mul_(1.0001);
                });
  const VerifyReport report = verified(sliced.teacher, sliced.plan, sliced.folder / "student");
  REQUIRE(report.problems.size() == 2);
  CHECK(report.problems[0].find("outside the layers: tensor model.norm.weight") == 0);
  CHECK(report.problems[1].find("final norm: hidden states") == 0);
}

TEST_CASE("norms that average over all channels are found by the states alone") {
  const Sliced sliced("llama", {{"hidden", 16}});
  write_student(sliced.folder / "student", sliced.teacher, sliced.plan);
  // A student whose config has another epsilon has the right tensors and the wrong norms.
  nlohmann::json config = read_json(sliced.folder / "student/config.json");
  config["rms_norm_eps"] = 1e-3;
  write_json(sliced.folder / "student/config.json", config);
  const VerifyReport report = verified(sliced.teacher, sliced.plan, sliced.folder / "student");
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].find("layer 0 (the teacher's layer 0): hidden states") == 0);
}

TEST_CASE("cutting nothing reproduces the teacher bit for bit") {
  const Sliced sliced("mistral", {{"hidden", 24}});
  write_student(sliced.folder / "student", sliced.teacher, sliced.plan);
  CHECK(read_text(sliced.folder / "student/model.safetensors") ==
        read_text(sliced.folder / "teacher/model.safetensors"));
}
