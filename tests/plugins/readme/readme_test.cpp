// SPDX-License-Identifier: Apache-2.0
// The metric of sdk/README.md, loaded as a recipe would load it.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/importance/score.hpp"
#include "core/plugin/loader.hpp"
#include "tests/core/importance/tiny.hpp"

using espalier::ComponentBlock;
using espalier::ScoreJob;
using espalier::Scratch;
using espalier::Value;

namespace {

struct QuietHost final : espalier::Host {
  std::uint64_t seed() const override { return 1; }
  void info(const std::string&) const override {}
  void warn(const std::string&) const override {}
};

}  // namespace

TEST_CASE("the plugin of the SDK's page loads, scores a model and keeps its promises") {
  espalier::Registry registry;
  espalier::load_plugin(README_PLUGIN, registry);
  const auto block = std::make_shared<ComponentBlock>();
  block->kind = "metric", block->name = "peak";
  block->options["skip"] = {Value{std::int64_t{2}}, {}};
  const QuietHost host;
  ScoreJob job;
  job.axis = espalier::testing::axis_of("ffn");
  job.metric = "peak", job.plugin = "mine 0.1.0";
  job.make_metric = [&] { return registry.metric(*block, host); };

  const Scratch scratch;
  espalier::Model model = espalier::testing::tiny_model();
  const std::vector<espalier::TokenSource> data = {espalier::testing::random_tokens(scratch, "a", 100, 31, 3)};
  const auto whole = score(model, {job}, data, espalier::testing::options_of(6, 8, 6))[0];
  const auto single = score(model, {job}, data, espalier::testing::options_of(6, 8, 1))[0];
  for (std::size_t layer = 0; layer < 3; ++layer) {
    CHECK(espalier::testing::near(whole.per_layer[layer], single.per_layer[layer]));
    CHECK(whole.per_layer[layer].min().item<float>() > 0.0f);
  }

  job.axis = espalier::testing::axis_of("layers");
  CHECK_THROWS_WITH_AS(needs_of(job),
                       "in metric 'peak' (plugin mine 0.1.0): metric 'peak' needs an axis of a width; got 'layers'",
                       espalier::RecipeError);
}
