// SPDX-License-Identifier: Apache-2.0
#include "core/prune/rounds.hpp"

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

std::vector<Indices> keeps_of(const ModelSpec& spec, const std::vector<Cut>& cuts, std::int64_t rounds) {
  const Cuts made(spec, cuts, false);
  Diagnostics diagnostics;
  std::vector<Indices> keeps = round_keeps(spec, made.steps, rounds, diagnostics);
  diagnostics.throw_if_any();
  return keeps;
}

std::vector<Cut> with_keeps(std::vector<Cut> cuts, const Indices& keeps) {
  for (std::size_t i = 0; i < cuts.size(); ++i) cuts[i].keep = keeps[i];
  return cuts;
}

// Two rounds as two runs would do them, and as one plan.
struct TwoRounds {
  QuickFolder folder;
  Checkpoint teacher;
  Plan first, second, together;
  TwoRounds(const std::string& family, const std::vector<Cut>& cuts)
      : teacher(write_tiny(folder / "teacher", tiny_spec(family), 11)) {
    const std::vector<Indices> keeps = keeps_of(teacher.spec(), cuts, 2);
    Diagnostics diagnostics;
    const Cuts before(teacher.spec(), with_keeps(cuts, keeps[0]));
    first = make_plan(teacher.spec(), before.steps, diagnostics);
    const Cuts after(first.student, with_keeps(cuts, keeps[1]));
    second = make_plan(first.student, after.steps, diagnostics);
    const Cuts target(teacher.spec(), cuts);
    const auto scores = [&](std::int64_t round, std::size_t step) {
      return (round == 1 ? before : after).steps[step].scores;
    };
    together = plan_rounds(teacher.spec(), target.steps, 2, 2, scores, diagnostics);
    diagnostics.throw_if_any();
  }
  Checkpoint by_hand() {
    write_student(folder / "half", teacher, first);
    const Checkpoint half(folder / "half");
    write_student(folder / "by_hand", half, second);
    return Checkpoint(folder / "by_hand");
  }
};

}  // namespace

TEST_CASE("every round goes an equal part of the way, rounded to what the axis can give") {
  const ModelSpec spec = tiny_spec("llama");  // 3 layers, hidden 24, ffn 20, 2 × 3 heads
  CHECK(keeps_of(spec, {{"hidden", 12}, {"layers", 1}}, 3) == std::vector<Indices>{{20, 2}, {16, 2}, {12, 1}});
  CHECK(keeps_of(spec, {{"ffn", 8, {{"granularity", {std::int64_t{8}}}}}}, 2) == std::vector<Indices>{{16}, {8}});
  CHECK(keeps_of(spec, {{"heads", 2}}, 4) == std::vector<Indices>{{6}, {4}, {4}, {2}});
  CHECK(keeps_of(spec, {{"hidden", 24}}, 2) == std::vector<Indices>{{24}, {24}});
  // 3 heads are left beside one KV group, so 1 of 3 goes: a sixth of 6 after half of the way.
  CHECK(keeps_of(spec, {{"kv_groups", 1}, {"heads", 2}}, 2) == std::vector<Indices>{{2, 6}, {1, 2}});
}

TEST_CASE("one round is the plan without rounds") {
  const std::vector<Cut> cuts = {{"layers", 2}, {"hidden", 17}, {"heads", 4}, {"ffn", 9}};
  const Cuts made(tiny_spec("qwen3"), cuts);
  Diagnostics diagnostics;
  const auto scores = [&](std::int64_t round, std::size_t step) {
    CHECK(round == 1);
    return made.steps[step].scores;
  };
  const Plan plan = plan_rounds(tiny_spec("qwen3"), made.steps, 1, 1, scores, diagnostics);
  CHECK(plan_to_json(plan, 4, 8) == plan_to_json(make_plan(tiny_spec("qwen3"), made.steps, diagnostics), 4, 8));
}

TEST_CASE("two rounds as one plan give the student of two runs, byte for byte") {
  const std::vector<std::vector<Cut>> combinations = {
      {{"hidden", 12}},
      {{"layers", 1}},
      {{"layers", 1, {{"contiguous", Value{true}}}}, {"ffn", 6}},
      {{"kv_groups", 1}, {"heads", 1}},
      {{"heads", 2}, {"kv_groups", 1}},
      {{"ffn", 7}, {"heads", 2}, {"layers", 1}, {"hidden", 8}, {"kv_groups", 1}}};
  for (const char* family : {"llama", "qwen3", "nemotron"}) {
    for (const std::vector<Cut>& cuts : combinations) {
      CAPTURE(family);
      CAPTURE(cuts.front().axis);
      TwoRounds rounds(family, cuts);
      CHECK(rounds.together.selections.size() == cuts.size());
      CHECK(rounds.together.student == rounds.second.student);
      write_student(rounds.folder / "student", rounds.teacher, rounds.together);
      rounds.by_hand();
      CHECK(read_text(rounds.folder / "student/model.safetensors") ==
            read_text(rounds.folder / "by_hand/model.safetensors"));
      const VerifyReport report = verified(rounds.teacher, rounds.together, rounds.folder / "student");
      CHECK_MESSAGE(report.passed(), (report.passed() ? "" : report.problems.front()));
      const nlohmann::json json = plan_to_json(rounds.together, 4, 8);
      CHECK(plan_to_json(plan_from_json(json, "plan.json"), 4, 8) == json);
    }
  }
}

TEST_CASE("the residual of one axis goes over the rounds as over two runs") {
  for (const std::string sign : {"kept_minus_pruned", "pruned_minus_kept"}) {
    TwoRounds rounds("qwen2",
                     {{"heads", 2, {{"residual", {sign}}}}, {"ffn", 7}});  // 3 heads of a group, then 2, then 1
    CHECK_FALSE(rounds.first.selections[0].folds.empty());
    CHECK_FALSE(rounds.second.selections[0].folds.empty());
    write_student(rounds.folder / "student", rounds.teacher, rounds.together);
    const Checkpoint student(rounds.folder / "student"), by_hand = rounds.by_hand();
    for (const Parameter& parameter : student.parameters()) {
      // Sums of up to four weights below 2, by up to 4, in another order of rounding to float32.
      CHECK(at::allclose(student.tensor(parameter), by_hand.tensor(parameter), 0, 4e-6));
    }
    CHECK(verified(rounds.teacher, rounds.together, rounds.folder / "student").passed());
  }
}

TEST_CASE("head_dim goes over rounds, and its scale with it") {
  for (const char* family : {"llama", "qwen3"}) {
    TwoRounds rounds(family, {{"head_dim", 2}, {"hidden", 17}});  // 6, 4, 2
    CHECK(rounds.together.selections[0].keep == 2);
    write_student(rounds.folder / "student", rounds.teacher, rounds.together);
    const Checkpoint student(rounds.folder / "student"), by_hand = rounds.by_hand();
    for (const Parameter& parameter : student.parameters()) {
      CHECK(at::allclose(student.tensor(parameter), by_hand.tensor(parameter), 0, 1e-6));
    }
    CHECK(verified(rounds.teacher, rounds.together, rounds.folder / "student").passed());
  }
}

TEST_CASE("folds of two axes do not go over rounds, and that is told from the counts alone") {
  const Value residual{std::string("kept_minus_pruned")};
  const Cuts cuts(tiny_spec("llama"), {{"heads", 4, {{"residual", residual}}}, {"head_dim", 4}}, false);
  Diagnostics diagnostics;
  const auto none = [](std::int64_t, std::size_t) -> const Scores* { return nullptr; };
  CHECK_THROWS_WITH_AS(plan_rounds(tiny_spec("llama"), cuts.steps, 2, 2, none, diagnostics),
                       "score.rounds: the folds of axes 'heads' and 'head_dim' cannot go over several rounds together; "
                       "expected rounds = 1, or one axis that folds",
                       RecipeError);
}
