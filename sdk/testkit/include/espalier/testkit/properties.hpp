// SPDX-License-Identifier: Apache-2.0
// Every property that the kit looks at. The table of sdk/testkit/README.md is this one.
#pragma once

#include <string_view>

#include "espalier/sdk/error.hpp"

namespace espalier::testkit {

struct Property {
  const char* id;
  const char* demands;  // what holds for a correct component
  const char* read;     // where the contract says so
};

inline constexpr Property kProperties[] = {
    {"component/made", "the defaults construct, without a problem; a flag that must be set is one that they name",
     "options.hpp, parse_options"},
    {"component/options", "a wrong type and a value outside the limits are reported under the field's name",
     "options.hpp, Limits; README of the SDK, The kinds: Options"},
    {"component/exceptions", "whatever is thrown is a std::exception with a text",
     "error.hpp, Error; README of the SDK, The kinds: Errors"},

    {"metric/axes",
     "some axis is accepted, with evidence that it can give; the others are refused by Error with a text",
     "metric.hpp, ImportanceMetric::needs"},
    {"metric/scores", "scores are (units), float32, on the CPU, finite, and the same when asked for again",
     "metric.hpp, ImportanceMetric::scores"},
    {"metric/finite", "zero, constant and very large evidence gives finite scores",
     "metric.hpp, ImportanceMetric::scores"},
    {"metric/deterministic", "another instance that is shown the same has the same scores, bit for bit",
     "README of the SDK, The kinds: Randomness"},
    {"metric/instances", "two instances at work at the same time do not see each other",
     "README of the SDK, The kinds: Metrics"},
    {"metric/permutation", "units in another order have their scores in that order", "metric.hpp, ImportanceMetric"},
    {"metric/micro-batches", "how the evidence is cut into observations changes nothing beyond rounding",
     "metric.hpp, ImportanceMetric"},
    {"metric/merge", "two instances that saw one half each, merged, have the scores of one that saw all",
     "metric.hpp, ImportanceMetric::merge"},
    {"metric/resume", "a fresh instance with the state restored goes on as the old one does",
     "metric.hpp, ImportanceMetric::restore"},
    {"metric/memory", "the state does not grow with the number of observations", "metric.hpp, ImportanceMetric::state"},
    {"metric/dtype", "bfloat16 evidence scores as the same numbers in float32 do", "metric.hpp, ImportanceMetric"},
    {"metric/in-host", "the program scores a tiny model with it", "metric.hpp, ImportanceMetric"},

    {"axis/describe", "name, unit, dimensions and taps fit together and are always the same", "axis.hpp, AxisInfo"},
    {"axis/extent", "every family has at least one unit to count, or the axis refuses it by Error with a text",
     "axis.hpp, PruningAxis::extent"},
    {"axis/step", "the step is at least 1, and not more than the extent", "axis.hpp, PruningAxis::step"},
    {"axis/select", "every legal keep gives that many units: ascending, each once, within range, for every layer",
     "axis.hpp, PruningAxis::select"},
    {"axis/scores", "a kept unit whose score rises stays", "axis.hpp, PruningAxis::select"},
    {"axis/ties", "of two units with one score the lower index stays", "axis.hpp, PruningAxis::select"},
    {"axis/runs", "of runs that are scored as such the weakest goes; of equal ones the last",
     "axis.hpp, PruningAxis::select"},
    {"axis/shrink", "the spec after the cut has the extent that was asked for", "axis.hpp, PruningAxis::shrink"},
    {"axis/other-dimensions", "the cut changes nothing but the axis's own dimensions", "axis.hpp, PruningAxis::shrink"},
    {"axis/twice", "what was cut can be cut again", "axis.hpp, PruningAxis::shrink"},
    {"axis/pure", "the same arguments give the same answers, whatever was asked before and of which instance",
     "axis.hpp, PruningAxis; README of the SDK, The kinds: Axes"},
    {"axis/masked-equals-sliced", "a sliced tiny model computes what the masked one does, in every family",
     "axis.hpp, PruningAxis; README of the SDK, The kinds: Axes"},
    {"axis/composes", "the same holds together with each axis of the program, in either order",
     "axis.hpp, PruningAxis; README of the SDK, The kinds: Axes"},

    {"loss/value", "one float32 number for each row", "loss.hpp, LogitLoss::forward"},
    {"loss/teacher", "a loss that needs no teacher works without one", "loss.hpp, LogitLoss::needs_teacher"},
    {"loss/gradient", "the gradient of forward() is that of finite differences", "loss.hpp, LogitLoss::forward"},
    {"loss/closed-form", "gradient() gives the losses and the gradient that forward() has",
     "loss.hpp, LogitLoss::gradient"},
    {"loss/adds", "gradient() adds to what is in `gradient`", "loss.hpp, LogitLoss::gradient"},
    {"loss/scale", "gradient() multiplies by `scale`", "loss.hpp, LogitLoss::gradient"},
    {"loss/mix", "mix() says what forward() computes", "loss.hpp, KlCeMixLoss::mix"},
    {"loss/rows", "a row's loss does not depend on which rows come with it, or in which order", "loss.hpp, LogitLoss"},
    {"loss/finite", "logits of +-1e4, and one-hot ones, give finite losses and gradients",
     "loss.hpp, LogitLoss::forward"},
    {"loss/deterministic", "the same rows give the same losses, whatever was seen before and by which instance",
     "loss.hpp, LogitLoss"},

    {"feature_loss/plan", "pairs of layers that both models have, or Error with a text",
     "feature_loss.hpp, FeatureLoss::plan"},
    {"feature_loss/parameters", "parameters are float32, finite and on the CPU", "feature_loss.hpp, FeaturePlan"},
    {"feature_loss/value", "one float32 number for each row", "feature_loss.hpp, FeatureLoss::forward"},
    {"feature_loss/gradient", "the gradients of rows and parameters are those of finite differences",
     "feature_loss.hpp, FeatureLoss::forward"},
    {"feature_loss/rows", "a row's loss does not depend on which rows come with it, or in which order",
     "feature_loss.hpp, FeatureLoss"},
    {"feature_loss/finite", "zero and very large rows give finite losses and gradients",
     "feature_loss.hpp, FeatureLoss::forward"},
    {"feature_loss/deterministic", "plans and losses are functions of their arguments, the same in every instance",
     "feature_loss.hpp, FeatureLoss::plan"},

    {"scheduler/range", "every rate is finite and not negative", "scheduler.hpp, Scheduler::at"},
    {"scheduler/pure", "a rate is a function of the progress: in any order, after a resume, in every instance",
     "scheduler.hpp, Scheduler"},
    {"scheduler/continuous", "neighbouring steps of a long run have neighbouring rates", "scheduler.hpp, Scheduler"},
};

inline const Property& property_named(std::string_view id) {
  for (const Property& property : kProperties) {
    if (id == property.id) return property;
  }
  throw InternalError(concat("the kit has no property '", id, "'"));
}

}  // namespace espalier::testkit
