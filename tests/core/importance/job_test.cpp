// SPDX-License-Identifier: Apache-2.0
// Jobs from blocks of a recipe, through the registry and the libraries that recipes use.
#include "core/importance/job.hpp"

#include <doctest/doctest.h>

#include "core/plugin/loader.hpp"

using espalier::Component;
using espalier::ComponentBlock;
using espalier::make_job;
using espalier::Registry;
using espalier::ScoreJob;
using espalier::Value;

namespace {

struct QuietHost final : espalier::Host {
  std::uint64_t seed() const override { return 1; }
  void info(const std::string&) const override {}
  void warn(const std::string&) const override {}
};

Component block(const std::string& kind, const std::string& name,
                const std::vector<std::pair<std::string, Value>>& options = {}) {
  const auto made = std::make_shared<ComponentBlock>();
  made->kind = kind, made->table = "prune", made->name = name;
  for (const auto& [key, value] : options) made->options[key] = {value, {}};
  return made;
}

Value text(const char* value) { return {std::string(value)}; }

// Loaded once: libraries stay for the life of the process.
const Registry& registry() {
  static const std::unique_ptr<Registry> loaded = [] {
    auto fresh = std::make_unique<Registry>();
    espalier::load_plugin(AXES_PLUGIN, *fresh);
    espalier::load_plugin(IMPORTANCE_PLUGIN, *fresh);
    return fresh;
  }();
  return *loaded;
}

const QuietHost kHost;

ScoreJob job_of(const char* axis, const Component& metric) {
  return make_job(registry(), block("axis", axis), metric, kHost);
}

}  // namespace

TEST_CASE("a job names its plugin and has every option with its value") {
  const ScoreJob job = job_of("ffn", block("metric", "activation", {{"batch", text("mean")}}));
  CHECK(job.plugin == std::string("importance ") + ESPALIER_VERSION);
  CHECK(job.options == R"({"batch":"mean","norm":"token_norm","seq":"mean","tap":""})");
  CHECK((needs_of(job).tap == espalier::Tap::fc2_input));
}

TEST_CASE("jobs are the same when axis, metric and resolved options are") {
  const ScoreJob plain = job_of("ffn", block("metric", "activation"));
  CHECK(plain.same_as(job_of("ffn", block("metric", "activation", {{"seq", text("mean")}}))));
  CHECK_FALSE(plain.same_as(job_of("ffn", block("metric", "activation", {{"seq", text("l2")}}))));
  CHECK_FALSE(plain.same_as(job_of("heads", block("metric", "activation"))));
  CHECK_FALSE(job_of("ffn", block("metric", "random")).same_as(plain));
}

TEST_CASE("only metrics that look at activations, states or losses need data") {
  CHECK(needs_data(job_of("ffn", block("metric", "activation"))));
  CHECK(needs_data(job_of("layers", block("metric", "block_influence"))));
  CHECK(needs_data(job_of("layers", block("metric", "loss_drop"))));
  CHECK_FALSE(needs_data(job_of("ffn", block("metric", "magnitude"))));
  CHECK_FALSE(needs_data(job_of("hidden", block("metric", "random"))));
}

TEST_CASE("a metric on an axis that it cannot score is a mistake of the recipe") {
  CHECK_THROWS_WITH_AS(
      needs_of(job_of("ffn", block("metric", "loss_drop"))),
      (std::string("in metric 'loss_drop' (plugin importance ") + ESPALIER_VERSION +
       "): metric 'loss_drop' scores layers and parts of them; got axis 'ffn'; expected an axis of layers, such as "
       "'layers'")
          .c_str(),
      espalier::RecipeError);
}
