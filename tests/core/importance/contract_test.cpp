// SPDX-License-Identifier: Apache-2.0
// What the host promises a metric, and what it says to one that breaks its own promise.
#include <functional>
#include <limits>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include "core/importance/score.hpp"
#include "tests/core/importance/tiny.hpp"

using espalier::AxisInfo;
using espalier::Evidence;
using espalier::Model;
using espalier::Needs;
using espalier::Observation;
using espalier::ScoreJob;
using espalier::Scratch;
using espalier::Site;
using espalier::Tap;
using espalier::TokenSource;
using espalier::testing::axis_of;
using espalier::testing::options_of;
using espalier::testing::random_tokens;
using espalier::testing::tiny_model;

namespace {

// Answers with what it is told to, and tells what it was shown.
struct Log {
  std::vector<Site> sites;
  std::vector<std::vector<std::int64_t>> shapes;
  std::int64_t made = 0;
  bool gradients = false;
};

class Scripted final : public espalier::ImportanceMetric {
 public:
  Scripted(Log& log, Needs wanted, std::function<at::Tensor(const Site&)> answer)
      : log_(log), needs_(wanted), answer_(std::move(answer)) {
    ++log.made;
  }
  Needs needs(const AxisInfo&) const override { return needs_; }
  void begin(const Site& site) override { site_ = site, log_.sites.push_back(site); }
  void observe(const Observation& observation) override {
    log_.shapes.push_back(observation.input.defined() ? observation.input.sizes().vec() : std::vector<std::int64_t>{});
    log_.gradients = log_.gradients || at::GradMode::is_enabled();
  }
  at::Tensor scores() const override { return answer_(site_); }
  std::vector<at::Tensor> state() const override { return {}; }
  void restore(const std::vector<at::Tensor>&) override {}
  void merge(const std::vector<at::Tensor>&) override {}

 private:
  Log& log_;
  Needs needs_;
  std::function<at::Tensor(const Site&)> answer_;
  Site site_;
};

at::Tensor ones(const Site& site) { return at::ones({site.units}); }

ScoreJob scripted(Log& log, const char* axis, Needs needs, std::function<at::Tensor(const Site&)> answer = ones,
                  const char* options = "{}") {
  ScoreJob job;
  job.axis = axis_of(axis), job.metric = "scripted", job.plugin = "test 1.0", job.options = options;
  job.make_metric = [&log, needs, answer] { return std::make_unique<Scripted>(log, needs, answer); };
  return job;
}

std::vector<espalier::Scores> run(const std::vector<ScoreJob>& jobs) {
  const Scratch scratch;
  Model model = tiny_model();
  return score(model, jobs, {random_tokens(scratch, "a", 100, 31, 3)}, options_of(5, 8, 2));
}

constexpr Needs kNorms{Evidence::activations, Tap::norm_output}, kHeadInputs{Evidence::activations, Tap::o_proj_input};

}  // namespace

TEST_CASE("an axis that all layers share is seen at every norm, and the finished scores are added up") {
  Log log;
  const std::vector<espalier::Scores> scores = run({scripted(log, "hidden", kNorms)});
  CHECK(log.sites.size() == 6);
  CHECK(at::equal(scores[0].per_layer[0], at::full({12}, 6.0f)));
  CHECK(log.shapes.size() == 6 * 3);
  CHECK(log.shapes.front() == std::vector<std::int64_t>{2, 8, 12, 1});
  CHECK_FALSE(log.gradients);
}

TEST_CASE("sites say axis, layer, units and channels, and have seeds of their own") {
  Log log;
  run({scripted(log, "heads", kHeadInputs), scripted(log, "kv_groups", kHeadInputs)});
  REQUIRE(log.sites.size() == 6);
  std::vector<std::uint64_t> seeds;
  for (const Site& site : log.sites) {
    const bool groups = site.axis == "kv_groups";
    CHECK(site.units == (groups ? 2 : 6));
    CHECK(site.channels == (groups ? 12 : 4));
    seeds.push_back(site.seed);
  }
  std::sort(seeds.begin(), seeds.end());
  CHECK(std::unique(seeds.begin(), seeds.end()) == seeds.end());
}

TEST_CASE("equal jobs are computed once, jobs with other options are not") {
  Log log;
  const std::vector<espalier::Scores> scores = run({scripted(log, "hidden", kNorms), scripted(log, "hidden", kNorms),
                                                    scripted(log, "hidden", kNorms, ones, "{\"x\":1}")});
  CHECK(log.sites.size() == 12);
  CHECK(at::equal(scores[0].per_layer[0], scores[1].per_layer[0]));
}

TEST_CASE("a metric that breaks its contract is named with its plugin") {
  Log log;
  const auto says = [&](const std::function<at::Tensor(const Site&)>& answer, const char* text) {
    CHECK_THROWS_WITH_AS(run({scripted(log, "heads", kHeadInputs, answer)}), text, espalier::Error);
  };
  says([](const Site&) { return at::Tensor(); },
       "metric 'scripted' (plugin test 1.0): scores of axis 'heads', layer 0 are missing; got no tensor; expected [6]");
  says([](const Site&) { return at::ones({5}); },
       "metric 'scripted' (plugin test 1.0): scores of axis 'heads', layer 0 have the wrong shape; got [5]; expected "
       "[6]");
  says([](const Site& site) { return at::ones({site.units}, at::kDouble); },
       "metric 'scripted' (plugin test 1.0): scores of axis 'heads', layer 0 have the wrong type; got Double on cpu; "
       "expected Float on cpu");
  says(
      [](const Site& site) {
        at::Tensor scores = at::ones({site.units});
        if (site.layer == 1) scores[4] = std::numeric_limits<float>::quiet_NaN();
        return scores;
      },
      "metric 'scripted' (plugin test 1.0): scores of axis 'heads', layer 1 are not all finite; got nan for unit 4; "
      "expected a finite number");
}

TEST_CASE("evidence that an axis cannot give is refused") {
  Log log;
  CHECK_THROWS_WITH_AS(
      run({scripted(log, "ffn", {Evidence::probe, Tap::none})}),
      "metric 'scripted' (plugin test 1.0) asks for probe of axis 'ffn', which only an axis of layers can give",
      espalier::Error);
  CHECK_THROWS_WITH_AS(run({scripted(log, "ffn", kNorms)}),
                       "metric 'scripted' (plugin test 1.0) asks for tap 'norm_output', which is not one of axis 'ffn'",
                       espalier::Error);
  ScoreJob wrong = scripted(log, "ffn", kNorms);
  wrong.axis.taps = {Tap::norm_output};
  CHECK_THROWS_WITH_AS(run({wrong}), "axis 'ffn' names tap 'norm_output', which does not carry its dimensions",
                       espalier::Error);
}

TEST_CASE("too small a micro-batch is a mistake of the recipe") {
  Log log;
  Model model = tiny_model();
  CHECK_THROWS_WITH_AS(score(model, {scripted(log, "hidden", kNorms)}, {}, options_of(1, 8, 0)),
                       "score.micro_batch is out of range; got 0; expected 1 or more", espalier::RecipeError);
}
