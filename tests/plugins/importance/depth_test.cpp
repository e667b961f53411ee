// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "plugins/importance/angular_distance.hpp"
#include "plugins/importance/block_influence.hpp"
#include "plugins/importance/kl_drop.hpp"
#include "plugins/importance/loss_drop.hpp"
#include "plugins/importance/task_drop.hpp"
#include "tests/plugins/importance/observe.hpp"
#include "tests/plugins/options.hpp"

using espalier::AxisInfo;
using espalier::list_of;
using espalier::make;
using espalier::site_of;
using espalier::plugins::AngularDistance;
using espalier::plugins::BlockInfluence;
using espalier::plugins::KlDrop;
using espalier::plugins::LossDrop;
using espalier::plugins::TaskDrop;

namespace {

void probe(espalier::ImportanceMetric& metric, std::int64_t unit, double loss, double base, double divergence = 0) {
  const at::Tensor none;
  metric.observe({.layer = unit,
                  .unit = unit,
                  .input = none,
                  .output = none,
                  .gradient = none,
                  .readers = none,
                  .loss = loss,
                  .base_loss = base,
                  .divergence = divergence});
}

}  // namespace

TEST_CASE("a quarter turn of pi/2 has the block influence of the oracle, an identity has none") {
  BlockInfluence metric = make<BlockInfluence>();
  metric.begin(site_of(2));
  const at::Tensor x = at::tensor({1.0f, 0.0f}).view({1, 1, 2}), y = at::tensor({1.0f, 1.0f}).view({1, 1, 2});
  const at::Tensor any = at::sin(at::arange(3 * 5 * 2, at::kFloat)).view({3, 5, 2});
  observe(metric, x, y, 0);
  observe(metric, any, any, 1);
  CHECK(list_of(metric.scores())[0] == doctest::Approx(0.292893).epsilon(1e-5));
  CHECK(list_of(metric.scores())[1] == 0.0f);
}

TEST_CASE("block influence counts tokens, so that unequal micro-batches weigh what they are") {
  const at::Tensor before = at::sin(at::arange(7 * 5 * 16, at::kFloat)).view({7, 5, 16}),
                   after = before + at::cos(before * 3);
  at::Tensor whole;
  for (const std::int64_t micro_batch : {7, 1, 3}) {
    BlockInfluence metric = make<BlockInfluence>();
    metric.begin(site_of(1));
    for (std::int64_t at = 0; at < 7; at += micro_batch) {
      const std::int64_t count = std::min<std::int64_t>(micro_batch, 7 - at);
      observe(metric, before.narrow(0, at, count), after.narrow(0, at, count));
    }
    if (!whole.defined()) whole = metric.scores();
    CHECK(at::equal(metric.scores(), whole));
  }
  const at::Tensor expected = (1 - at::cosine_similarity(before.to(at::kDouble), after.to(at::kDouble), -1)).mean();
  CHECK(whole.item<float>() == doctest::Approx(expected.item<double>()).epsilon(1e-6));
}

TEST_CASE("block influence merges by tokens") {
  const at::Tensor before = at::sin(at::arange(4 * 3 * 8, at::kFloat)).view({4, 3, 8}), after = at::cos(before);
  BlockInfluence whole = make<BlockInfluence>(), first = make<BlockInfluence>(), rest = make<BlockInfluence>();
  whole.begin(site_of(1)), first.begin(site_of(1)), rest.begin(site_of(1));
  observe(whole, before, after);
  observe(first, before.narrow(0, 0, 1), after.narrow(0, 0, 1)),
      observe(rest, before.narrow(0, 1, 3), after.narrow(0, 1, 3));
  first.merge(rest.state());
  CHECK(first.scores().item<float>() == doctest::Approx(whole.scores().item<float>()).epsilon(1e-7));
}

TEST_CASE("huge, tiny and zero hidden states have a finite block influence") {
  BlockInfluence metric = make<BlockInfluence>();
  metric.begin(site_of(1));
  const at::Tensor zero = at::zeros({1, 1, 4}), one = at::ones({1, 1, 4});
  observe(metric, one * 1e15, one * 1e-15), observe(metric, zero, one);
  CHECK(metric.scores().item<float>() == doctest::Approx(0.5).epsilon(1e-6));
}

TEST_CASE("angles are those of the oracle: a quarter turn, none, a right angle and the opposite direction") {
  const at::Tensor x = at::tensor({1.0f, 0.0f}).view({1, 1, 2});
  AngularDistance metric = make<AngularDistance>();
  metric.begin(site_of(5));
  observe(metric, x, at::tensor({1.0f, 1.0f}).view({1, 1, 2}), 0);
  observe(metric, x, x * 3, 1);
  observe(metric, x, at::tensor({0.0f, -2.0f}).view({1, 1, 2}), 2);
  observe(metric, x, x * -0.5, 3);
  observe(metric, x, at::tensor({1.0f, 1e-4f}).view({1, 1, 2}), 4);
  const std::vector<float> got = list_of(metric.scores());
  CHECK(got[0] == doctest::Approx(0.25).epsilon(1e-6));
  CHECK(got[1] == 0.0f);
  CHECK(got[2] == doctest::Approx(0.5).epsilon(1e-6));
  CHECK(got[3] == doctest::Approx(1.0).epsilon(1e-6));
  CHECK(got[4] == doctest::Approx(1e-4 / 3.14159265).epsilon(1e-5));  // arccos of a float32 cosine has no digit of it
}

TEST_CASE("the last token speaks for its sample, or all tokens alike") {
  const at::Tensor before = at::sin(at::arange(3 * 4 * 6, at::kFloat)).view({3, 4, 6}),
                   after = before + at::cos(before * 5);
  const at::Tensor angles =
      at::acos(at::cosine_similarity(before.to(at::kDouble), after.to(at::kDouble), -1)) / 3.14159265358979;
  for (const char* tokens : {"last", "all"}) {
    const at::Tensor counted = std::string(tokens) == "last" ? angles.select(1, 3) : angles;
    for (const std::int64_t micro_batch : {3, 1, 2}) {
      AngularDistance metric = make<AngularDistance>({{"tokens", {std::string(tokens)}}});
      metric.begin(site_of(1));
      for (std::int64_t at = 0; at < 3; at += micro_batch) {
        const std::int64_t count = std::min<std::int64_t>(micro_batch, 3 - at);
        observe(metric, before.narrow(0, at, count), after.narrow(0, at, count));
      }
      CHECK(metric.scores().item<float>() == doctest::Approx(counted.mean().item<double>()).epsilon(1e-6));
    }
  }
}

TEST_CASE("huge, tiny and zero hidden states have a finite angle") {
  AngularDistance metric = make<AngularDistance>();
  metric.begin(site_of(3));
  const at::Tensor one = at::ones({1, 1, 4}), zero = at::zeros({1, 1, 4});
  observe(metric, one * 1e30, one * 1e-30, 0), observe(metric, zero, one, 1), observe(metric, zero, zero, 2);
  CHECK(list_of(metric.scores()) == std::vector<float>{0.0f, 0.5f, 0.0f});
}

TEST_CASE("kl drop is the divergence of the predictions, whatever the losses are") {
  KlDrop metric = make<KlDrop>();
  metric.begin(site_of(2));
  probe(metric, 0, 5.5, 2.0, 0.75), probe(metric, 1, 1.0, 2.0, 0.25);
  CHECK(list_of(metric.scores()) == std::vector<float>{0.75f, 0.25f});
}

TEST_CASE("units are scored as the axis numbers them, whatever layer they are in") {
  BlockInfluence influence = make<BlockInfluence>();
  influence.begin(site_of(2));
  const at::Tensor x = at::tensor({1.0f, 0.0f}).view({1, 1, 2}), y = at::tensor({0.0f, 1.0f}).view({1, 1, 2});
  influence.observe({.layer = 4, .unit = 0, .input = x, .output = y, .gradient = {}, .readers = {}});
  influence.observe({.layer = 7, .unit = 1, .input = x, .output = x, .gradient = {}, .readers = {}});
  CHECK(list_of(influence.scores()) == std::vector<float>{1.0f, 0.0f});
}

TEST_CASE("which metrics of depth score whole runs") {
  AxisInfo layers = espalier::axis_with({espalier::Dim::layers}, {}, "layers");
  CHECK(make<LossDrop>().needs(layers).runs);
  CHECK(make<KlDrop>().needs(layers).runs);
  CHECK(make<AngularDistance>().needs(layers).runs);
  CHECK_FALSE(make<BlockInfluence>().needs(layers).runs);  // of a run the axis adds up what its layers score
}

TEST_CASE("loss drop is the difference to the whole model") {
  LossDrop metric = make<LossDrop>();
  metric.begin(site_of(3));
  probe(metric, 0, 5.5, 2.0), probe(metric, 1, 1.75, 2.0);
  CHECK_THROWS_WITH(metric.scores(),
                    "metric 'loss_drop' has no scores; got a unit that was never skipped; expected one probe of each");
  probe(metric, 2, 2.0, 2.0);
  CHECK(list_of(metric.scores()) == std::vector<float>{3.5f, -0.25f, 0.0f});
  LossDrop second = make<LossDrop>();
  second.begin(site_of(3));
  for (const std::int64_t unit : {0, 1, 2}) probe(second, unit, 3.0, 2.0);
  metric.merge(second.state());
  CHECK(list_of(metric.scores()) == std::vector<float>{2.25f, 0.375f, 0.5f});
}

TEST_CASE("task drop is the accuracy that is lost, and asks for whole runs and for its task") {
  TaskDrop metric({"w.jsonl", 5, true});
  const AxisInfo layers = espalier::axis_with({espalier::Dim::layers}, {}, "layers");
  const espalier::Needs needs = metric.needs(layers);
  CHECK(needs.evidence == espalier::Evidence::task);
  CHECK(needs.runs);
  CHECK(needs.task.file == "w.jsonl");
  CHECK(needs.task.shots == 5);
  CHECK(needs.task.length_normalised);
  metric.begin(site_of(2));
  const at::Tensor none;
  const auto show = [&](std::int64_t unit, double accuracy) {
    metric.observe({.layer = unit,
                    .unit = unit,
                    .input = none,
                    .output = none,
                    .gradient = none,
                    .readers = none,
                    .accuracy = accuracy,
                    .base_accuracy = 0.75});
  };
  show(0, 0.5);
  CHECK_THROWS_WITH(
      metric.scores(),
      "metric 'task_drop' has no scores; got a unit that was never skipped; expected one accuracy of each");
  show(1, 0.875);
  CHECK(list_of(metric.scores()) == std::vector<float>{0.25f, -0.125f});
}

TEST_CASE("metrics of depth refuse axes of a width") {
  const AxisInfo ffn = espalier::axis_with({espalier::Dim::ffn}, {espalier::Tap::fc2_input}, "ffn");
  CHECK_THROWS_WITH_AS(make<LossDrop>().needs(ffn),
                       "metric 'loss_drop' scores layers and parts of them; got axis 'ffn'; expected an axis of "
                       "layers, such as 'layers'",
                       espalier::RecipeError);
  CHECK_THROWS_WITH_AS(make<BlockInfluence>().needs(ffn),
                       "metric 'block_influence' scores layers and parts of them; got axis 'ffn'; expected an axis of "
                       "layers, such as 'layers'",
                       espalier::RecipeError);
}
