// SPDX-License-Identifier: Apache-2.0
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "tests/examples/loaded.hpp"

using espalier::AxisInfo;
using espalier::Dim;
using espalier::Evidence;
using espalier::ImportanceMetric;
using espalier::Observation;
using espalier::Tap;
using espalier::Value;
using espalier::testing::Loaded;

namespace {

AxisInfo width(std::vector<Tap> taps) {
  return {.name = "ffn",
          .unit = "neuron",
          .dims = {Dim::ffn},
          .shared = false,
          .taps = std::move(taps),
          .hugging_face_name = "",
          .megatron_name = ""};
}
AxisInfo depth() {
  return {.name = "layers",
          .unit = "layer",
          .dims = {Dim::layers},
          .shared = true,
          .taps = {},
          .hugging_face_name = "",
          .megatron_name = ""};
}

void observe(ImportanceMetric& metric, const at::Tensor& input, const at::Tensor& output = {}, std::int64_t layer = 0) {
  metric.observe({.layer = layer, .unit = layer, .input = input, .output = output, .gradient = {}, .readers = {}});
}

// (batch 2, seq 2, units 3, channels 1)
at::Tensor activations() {
  return at::tensor({0.0f, 1.0f, 0.2f, 0.0f, -1.0f, 0.1f, 0.0f, 0.0f, -0.1f, 0.5f, 2.0f, 0.0f}).view({2, 2, 3, 1});
}

void check_near(const at::Tensor& got, const std::vector<double>& expected) {
  REQUIRE(got.numel() == static_cast<std::int64_t>(expected.size()));
  CHECK((got.scalar_type() == at::kFloat));
  for (std::size_t i = 0; i < expected.size(); ++i)
    CHECK(got[static_cast<std::int64_t>(i)].item<double>() == doctest::Approx(expected[i]).epsilon(1e-6));
}

// The state goes on in another instance, and the second half merges into the first.
void check_state(const Loaded& plugin, const std::string& name, Loaded::Options options, const espalier::Site& site,
                 const std::function<void(ImportanceMetric&, int)>& show) {
  const auto whole = plugin.metric(name, options), first = plugin.metric(name, options),
             second = plugin.metric(name, options), resumed = plugin.metric(name, options);
  for (ImportanceMetric* metric : {whole.get(), first.get(), second.get(), resumed.get()}) metric->begin(site);
  show(*whole, 0), show(*whole, 1), show(*first, 0), show(*second, 1);
  resumed->restore(first->state());
  show(*resumed, 1);
  first->merge(second->state());
  CHECK(at::equal(resumed->scores(), whole->scores()));
  CHECK(at::equal(first->scores(), whole->scores()));
}

}  // namespace

TEST_CASE("APoZ is the share of zeros: of 4 tokens the units are active in 1, 3 and 3") {
  const Loaded& plugin = Loaded::example("apoz");
  const auto metric = plugin.metric("apoz");
  CHECK((metric->needs(width({Tap::fc2_input, Tap::up_output})).tap == Tap::fc2_input));
  metric->begin({.axis = "ffn", .layer = 0, .units = 3, .channels = 1});
  observe(*metric, activations());
  check_near(metric->scores(), {0.25, 0.75, 0.75});
}

TEST_CASE("APoZ counts an output of at most the threshold as zero") {
  const Loaded& plugin = Loaded::example("apoz");
  const auto metric = plugin.metric("apoz", {{"threshold", Value{0.15}}});
  metric->begin({.axis = "ffn", .layer = 0, .units = 3, .channels = 1});
  observe(*metric, activations());
  check_near(metric->scores(), {0.25, 0.75, 0.25});
}

TEST_CASE("APoZ of a head is the mean over its channels") {
  const Loaded& plugin = Loaded::example("apoz");
  const auto metric = plugin.metric("apoz");
  metric->begin({.axis = "heads", .layer = 0, .units = 2, .channels = 3});
  observe(*metric, activations().view({2, 1, 2, 3}));
  check_near(metric->scores(), {0.5, 4.0 / 6.0});
}

TEST_CASE("APoZ goes on from its state and merges") {
  const Loaded& plugin = Loaded::example("apoz");
  check_state(plugin, "apoz", {}, {.axis = "ffn", .layer = 0, .units = 3, .channels = 1},
              [](ImportanceMetric& metric, int half) { observe(metric, activations().narrow(0, half, 1)); });
}

TEST_CASE("APoZ refuses layers, and warns of a model without zeros") {
  const Loaded& plugin = Loaded::example("apoz");
  const auto metric = plugin.metric("apoz");
  CHECK_THROWS_WITH(
      metric->needs(depth()),
      doctest::Contains(
          "metric 'apoz' counts zeros of activations; got axis 'layers'; expected an axis of a width, such as 'ffn'"));
  metric->begin({.axis = "ffn", .layer = 0, .units = 3, .channels = 1});
  observe(*metric, activations() + 3.0);
  CHECK(metric->scores().eq(1.0).all().item<bool>());
  CHECK(
      plugin.warning() ==
      "metric 'apoz' tells no unit from another; got not one output that counts as zero; expected a larger threshold, "
      "above 0 for a model whose activation is not ReLU");
}

TEST_CASE("relative magnitude is |y - x| / |y|, by hand") {
  const Loaded& plugin = Loaded::example("relative_magnitude");
  const auto metric = plugin.metric("relative_magnitude");
  CHECK((metric->needs(depth()).evidence == Evidence::block_io));
  metric->begin({.axis = "layers", .layer = -1, .units = 3});
  // Two tokens: f = (3, 4) on x = 0, so 5 / 5; and f = (0, 3) on x = (4, 0), so 3 / 5.
  const at::Tensor x = at::tensor({0.0f, 0.0f, 4.0f, 0.0f}).view({1, 2, 2}),
                   y = at::tensor({3.0f, 4.0f, 4.0f, 3.0f}).view({1, 2, 2});
  observe(*metric, x, y, 0);
  observe(*metric, y, y, 1);
  observe(*metric, y, y * 2, 2);  // no change of direction, half of the output is new
  check_near(metric->scores(), {0.8, 0.0, 0.5});
}

TEST_CASE("relative magnitude goes on from its state and merges") {
  const Loaded& plugin = Loaded::example("relative_magnitude");
  check_state(plugin, "relative_magnitude", {}, {.axis = "layers", .layer = -1, .units = 1},
              [](ImportanceMetric& metric, int half) {
                const at::Tensor x = at::arange(8, at::kFloat).view({2, 2, 2}), y = x * x + 1;
                observe(metric, x.narrow(0, half, 1), y.narrow(0, half, 1));
              });
}

TEST_CASE("relative magnitude refuses a width, and layers that saw nothing") {
  const Loaded& plugin = Loaded::example("relative_magnitude");
  const auto metric = plugin.metric("relative_magnitude");
  CHECK_THROWS_WITH(
      metric->needs(width({Tap::fc2_input})),
      doctest::Contains("scores whole layers; got axis 'ffn'; expected an axis of layers, such as 'layers'"));
  metric->begin({.axis = "layers", .layer = -1, .units = 2});
  CHECK_THROWS_WITH(metric->scores(), doctest::Contains("got a layer with 0 tokens; expected at least 1"));
}
