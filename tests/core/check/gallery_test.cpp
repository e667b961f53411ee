// SPDX-License-Identifier: Apache-2.0
// Each broken component of tests/fixtures/plugins/ and what the check says of it.
#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "tests/core/check/checked.hpp"

namespace {

using espalier::PluginCheck;
using espalier::test::checked_fixture;
using espalier::test::report_of;
namespace testkit = espalier::testkit;

struct Fault {
  const char* component;
  const char* property;
  const char* what;     // in the finding
  const char* example;  // in its smallest case
};

const std::vector<Fault> kMetrics = {
    {"counts_batches", "metric/micro-batches", "scores depend on the micro-batch; got [",
     "axis 'hidden', activations, 2 units, 2 samples of 2 tokens, seed 7, in observations of [1, 1]"},
    {"overwrites", "metric/micro-batches", "scores depend on the micro-batch", "in observations of [1, 1]"},
    {"merges_sums_only", "metric/merge", "merged scores differ from those of one instance", "the first 1 and the rest"},
    {"restores_sums_only", "metric/resume", "scores after restore() differ from going on",
     "restored after 1 of 2 observations"},
    {"shares_state", "metric/instances", "scores depend on another instance", "beside another instance"},
    {"keeps_every_batch", "metric/memory", "state() grows with the observations; got ", "64 and 256 observations"},
    {"nan_on_zeros", "metric/finite", "scores are not finite; got [nan, nan]", "all zero"},
    {"float64_scores", "metric/scores", "scores have the wrong type; got Double on cpu; expected Float on cpu",
     "2 units"},
    {"column_of_scores", "metric/scores", "scores have the wrong shape; got [2, 1]; expected [2]", "2 units"},
    {"finishes_twice", "metric/scores", "scores change when asked for again", "2 units"},
    {"prefers_early_units", "metric/permutation", "scores do not follow their units", "units in the order [1, 0]"},
    {"sums_in_bfloat16", "metric/dtype", "bfloat16 evidence scores other than the same numbers in float32", "bfloat16"},
    {"counts_instances", "metric/deterministic", "a second instance has other scores", "2 units"},
    {"accepts_nothing", "metric/axes", "got no axis that it accepts; expected one or more (no axis is good enough",
     "'hidden', 'ffn', 'heads', 'kv_groups' and 'layers'"},
    {"refuses_silently", "metric/axes", "refused without a text", "axis 'layers'"},
    {"asks_elsewhere", "metric/axes", "asks for tap 'fc2_input'; expected one of the axis's taps", "axis 'hidden'"},
    {"throws_number", "component/exceptions", "threw something that is no std::exception; expected", "2 units"},
    {"throws_number", "metric/scores", "got an exception: something that is no std::exception; expected none",
     "2 units"},
    {"throws_silently", "component/exceptions", "threw an exception without a text; expected", "2 units"},
    {"knows_one_layer", "metric/in-host", "got an exception: no such layer; got 1; expected 0; expected none",
     "a tiny llama in Float, axis 'hidden'"},
    {"refuses_defaults", "component/made", "got a problem: from is above to; got 5; expected 3", "the defaults"},
};

const std::vector<Fault> kAxes = {
    {"descending", "axis/select", "units that are not ascending, each once for layer 0; got [1, 0]", "keep 2 of 20"},
    {"duplicates", "axis/select", "units that are not ascending, each once for layer 0; got [0, 0]", "keep 2 of 20"},
    {"too_few", "axis/select", "got 1 units for layer 0, [0]; expected 2", "keep 2 of 20, equal scores"},
    {"beyond_the_end", "axis/select", "a unit that is not there for layer 0; got 20; expected 0 to 19", "of 20"},
    {"high_ties", "axis/ties", "of two equal units the higher index stays; got [", "with one score"},
    {"keeps_the_worst", "axis/scores", "a kept unit is dropped when its score rises; got [", "keep 1 of 20"},
    {"wrong_shrink", "axis/shrink", "the spec after the cut has another extent; got 2; expected 1", "keep 1 of 20"},
    {"changes_vocab", "axis/other-dimensions", "the cut changes vocab; got 30; expected 31", "keep 1 of 20"},
    {"cuts_once", "axis/twice", "the second cut leaves another extent; got ", ", then keep 1"},
    {"drifts", "axis/pure", "the same scores give another selection", "keep 1"},
    {"misnamed", "axis/describe", "another name than it is registered under; got 'another'; expected 'misnamed'",
     "describe()"},
    {"counts_another_dimension", "axis/extent", "the extent is not the number of units; got 24; expected 20",
     "family llama"},
    {"step_of_zero", "axis/step", "got a step of 0; expected 1 to 20", "family llama"},
    {"strongest_run", "axis/runs", "another run than the weakest goes; got [2]; expected [0]",
     "family llama, keep 1 of 3, scores of runs of 2, seed 1"},
    {"head_channels", "axis/masked-equals-sliced", "hidden states of the student and the masked teacher differ",
     "a tiny llama, axis 'head_channels' 4 of 6"},
    {"assumes_a_width", "axis/composes", "dimension 1; got 16 kept positions; expected 24",
     "a tiny llama, axis 'hidden', then 'assumes_a_width'"},
};

const std::vector<Fault> kLosses = {
    {"wrong_closed_form", "loss/closed-form", "gradient() is not the gradient of forward(); got [",
     "1 row, vocabulary 2"},
    {"overwrites_gradient", "loss/adds", "gradient() does not add to what was there", "gradient filled with 2"},
    {"ignores_scale", "loss/scale", "gradient() does not follow `scale`", "scale 0.25"},
    {"wrong_mix", "loss/mix", "mix() is not what forward() computes", "1 row, vocabulary 2"},
    {"normalises_rows", "loss/rows", "a row's loss depends on the rows beside it", "2 rows, vocabulary 2, seed 5"},
    {"overflows", "loss/finite", "forward() is not finite; got [inf", "the student's logits +-1e4"},
    {"one_number", "loss/value", "forward() has the wrong shape; got []; expected [1]", "1 row, vocabulary 2"},
    {"float64_loss", "loss/value", "forward() has the wrong type; got Double; expected Float", "1 row"},
    {"detached", "loss/gradient", "forward() is not differentiable", "1 row"},
    {"half_a_gradient", "loss/gradient", "the gradient of forward() is not that of finite differences", "1 row"},
    {"hidden_teacher", "loss/teacher", "got an exception: ", "no teacher"},
    {"remembers", "loss/deterministic", "the same rows have another loss later", "before and after other rows"},
    {"loss_throws_number", "component/exceptions", "threw something that is no std::exception", "1 row"},
    {"no_such_layer", "feature_loss/plan", "a layer that the student does not have; got 2; expected -1 to 1",
     "a student of 2 layers for a teacher of 3"},
    {"no_pairs", "feature_loss/plan", "got no pair; expected one or more", "student and teacher alike"},
    {"float64_parameters", "feature_loss/parameters",
     "a parameter has the wrong type; got Double on cpu; expected Float", "student and teacher alike"},
    {"one_feature_number", "feature_loss/value", "forward() has the wrong shape; got []; expected [1]", "1 row"},
    {"frozen_projector", "feature_loss/gradient", "the gradient of parameter 0 is not that of finite differences",
     "1 row"},
    {"centres_rows", "feature_loss/rows", "a row's loss depends on the rows beside it", "2 rows"},
    {"nan_at_zero_rows", "feature_loss/finite", "forward() is not finite; got [nan", "the student's rows zero"},
    {"new_projectors", "feature_loss/deterministic", "the same models have another parameter 0 later", "planned again"},
};

const std::vector<Fault> kSchedulers = {
    {"goes_negative", "scheduler/range", "got a rate of -0.1; expected 0 or more", "step 6 of 10"},
    {"nan_in_one_step", "scheduler/range", "nan; expected 0 or more", "step 0 of 1"},
    {"jumps", "scheduler/continuous", "the rate jumps; got 0.9 of the peak at once; expected at most 0.25",
     "steps 4999 and 5000 of 10000"},
    {"counts_calls", "scheduler/pure", "the rate depends on more than the progress; got 1; expected 0.5",
     "step 1 of 2, asked of another instance, as after a resume"},
};

void expect_faults(const std::string& library, const std::vector<Fault>& faults) {
  const PluginCheck& check = checked_fixture(library);
  CHECK_FALSE(check.ok());
  for (const Fault& fault : faults) {
    INFO(std::string(fault.component), " ", std::string(fault.property));
    const testkit::Report* report = report_of(check, fault.component);
    REQUIRE(report != nullptr);
    INFO(to_text(*report));
    const testkit::Finding* finding = report->finding(fault.property);
    CHECK(finding != nullptr);
    if (finding == nullptr) continue;
    CHECK(finding->what.find(fault.what) != std::string::npos);
    CHECK(finding->example.find(fault.example) != std::string::npos);
    CHECK_FALSE(finding->read.empty());
  }
}

void expect_sound(const std::string& library, const std::string& component) {
  const testkit::Report* report = report_of(checked_fixture(library), component);
  REQUIRE(report != nullptr);
  INFO(to_text(*report));
  CHECK(report->ok());
}

}  // namespace

TEST_CASE("each broken metric is found by its property") { expect_faults("broken_metrics", kMetrics); }
TEST_CASE("each broken axis is found by its property") { expect_faults("broken_axes", kAxes); }
TEST_CASE("each broken loss is found by its property") { expect_faults("broken_losses", kLosses); }
TEST_CASE("each broken scheduler is found by its property") { expect_faults("broken_schedulers", kSchedulers); }

TEST_CASE("what the broken ones are made from has no fault") {
  expect_sound("broken_metrics", "sound");
  expect_sound("broken_axes", "sound");
  expect_sound("broken_losses", "sound");
  expect_sound("broken_losses", "sound_features");
  expect_sound("broken_schedulers", "sound");
}

TEST_CASE("the gallery has a component for every property, and only one that no component can break") {
  std::set<std::string> shown = {"component/options"};  // the field list of the SDK keeps it
  for (const auto* faults : {&kMetrics, &kAxes, &kLosses, &kSchedulers}) {
    for (const Fault& fault : *faults) shown.insert(fault.property);
  }
  for (const testkit::Property& property : testkit::kProperties) {
    INFO(std::string(property.id));
    CHECK(shown.contains(property.id));
  }
}
