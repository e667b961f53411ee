// SPDX-License-Identifier: Apache-2.0
#include "core/plugin/registry.hpp"

#include <ATen/core/Tensor.h>

#include <string>

#include "support.hpp"

using espalier::Component;
using espalier::Diagnostics;
using espalier::Registry;
using espalier::Value;
using espalier_test::block;
using espalier_test::fixture;
using espalier_test::TestHost;

namespace {

const Registry& good() {
  static const Registry* registry = [] {
    auto* made = new Registry();
    espalier::load_plugin(fixture("good"), *made);
    return made;
  }();
  return *registry;
}

std::string problems(const Component& component) {
  Diagnostics diagnostics;
  good().check(*component, diagnostics);
  CHECK(component->diagnostics == nullptr);
  return diagnostics.text();
}

const std::string kFrom = "note: loss 'soft' comes from plugin good 1.2.3 (" + fixture("good") + ")\n";

}  // namespace

TEST_CASE("components are listed by kind, then name, with their plugin and fields") {
  const auto components = good().components();
  REQUIRE(components.size() == 5);
  CHECK(components[0].kind + " " + components[0].name == "axis width");
  CHECK(components[1].kind + " " + components[1].name == "loss soft");
  CHECK(components[2].kind + " " + components[2].name == "loss throwing");
  CHECK(components[3].kind + " " + components[3].name == "metric flat");
  CHECK(components[4].kind + " " + components[4].name == "scheduler rising");
  CHECK(components[1].doc == "a loss with an option of each type");
  CHECK(components[1].plugin.version == "1.2.3");
  CHECK(components[1].fields.size() == 5);
}

TEST_CASE("an unknown name is told with every known one, and the nearest") {
  CHECK(
      problems(block("loss", "sofd")) ==
      "r.toml:3:10: error: [distill] unknown loss; got 'sofd'; expected 'soft' or 'throwing'; did you mean 'soft'?\n1 "
      "error");
  CHECK_THROWS_WITH_AS(good().describe(*block("scheduler", "zzz")),
                       "r.toml:3:10: error: [distill] unknown scheduler; got 'zzz'; expected 'rising'\n1 error",
                       espalier::RecipeError);
  Registry empty;
  CHECK_THROWS_WITH(empty.describe(*block("loss", "kl")),
                    "r.toml:3:10: error: [distill] unknown loss; got 'kl'; expected a plugin that provides one; 0 are "
                    "loaded\n1 error");
}

TEST_CASE("an axis by its Hugging Face or Megatron name is answered with ours") {
  CHECK(problems(block("axis", "intermediate_size")) ==
        "r.toml:3:10: error: [prune] unknown axis; got 'intermediate_size'; expected 'width' (Hugging Face calls it "
        "intermediate_size)\n1 error");
  CHECK(problems(block("axis", "ffn_hidden_size")) ==
        "r.toml:3:10: error: [prune] unknown axis; got 'ffn_hidden_size'; expected 'width' (Megatron calls it "
        "ffn_hidden_size)\n1 error");
  CHECK(good().axis_info("width")->unit == "neuron");
  CHECK(!good().axis_info("depth"));
}

TEST_CASE("an unknown option is told with the known ones, and where the component comes from") {
  CHECK(problems(block("loss", "soft", "temprature", Value{2.0})) ==
        "r.toml:3:20: error: [distill] unknown option of loss 'soft'; got 'temprature'; expected flag, count, "
        "temperature, tail or layers; did you mean 'temperature'?\n" +
            kFrom + "1 error");
  CHECK(problems(block("scheduler", "rising", "peak", Value{2.0}))
            .starts_with("r.toml:3:20: error: [distill] unknown option of scheduler 'rising'; got 'peak'; expected no "
                         "options\n"));
}

TEST_CASE("a misspelt key of the host beside a component's options is recognised") {
  const Component axis = block("axis", "width", "kep", Value{std::int64_t{3}});
  axis->host_keys = {"metric", "keep", "ratio"};
  CHECK(
      problems(axis).starts_with("r.toml:3:20: error: [prune] unknown option of axis 'width'; got 'kep'; expected no "
                                 "options; did you mean 'keep'?"));
}

TEST_CASE("options are checked for type, range, choice and against each other") {
  CHECK(problems(block("loss", "soft", "temperature", Value{0.0})) ==
        "r.toml:3:20: error: [distill] temperature of loss 'soft' is out of range; got 0.0; expected a real above 0\n" +
            kFrom + "1 error");
  CHECK(problems(block("loss", "soft", "tail", Value{std::string("drop")})) ==
        "r.toml:3:20: error: [distill] tail of loss 'soft' is not a known choice; got \"drop\"; expected \"zero\" or "
        "\"bucket\"\n" +
            kFrom + "1 error");
  CHECK(problems(block("loss", "soft", "count", Value{2.0})) ==
        "r.toml:3:20: error: [distill] count of loss 'soft' has the wrong type; got 2.0; expected an integer from 0 to "
        "9\n" +
            kFrom + "1 error");
  CHECK(problems(block("loss", "soft", "count", Value{std::int64_t{7}})) ==
        "r.toml:3:20: error: [distill] count of loss 'soft' cannot be seven while flag is set; got 7\n" + kFrom +
            "1 error");
  CHECK(problems(block("loss", "soft", "temperature", Value{std::int64_t{2}})) == "0 errors");
}

TEST_CASE("instances of every kind are made from their options and the host") {
  const TestHost host;
  CHECK(good().loss(*block("loss", "soft", "count", Value{std::int64_t{4}}), host).on_logits->needs_teacher());
  CHECK(!good().loss(*block("loss", "soft"), host).on_logits->needs_teacher());
  const auto metric = good().metric(*block("metric", "flat"), host);
  metric->begin({"width", 0, 3, 1, 0});
  CHECK(metric->scores().sum().item<double>() == 15.0);
  CHECK(good().axis(*block("axis", "width"), host)->describe().unit == "neuron");
  CHECK(good().scheduler(*block("scheduler", "rising"), host)->at({7, 10, 0, 0}) == 7.0);
}

TEST_CASE("no instance is made of a block with problems") {
  const TestHost host;
  const Component wrong = block("loss", "soft", "temperature", Value{-1.0});
  CHECK_THROWS_WITH_AS(
      good().loss(*wrong, host),
      ("r.toml:3:20: error: [distill] temperature of loss 'soft' is out of range; got -1.0; expected a "
       "real above 0\n" +
       kFrom + "1 error")
          .c_str(),
      espalier::RecipeError);
  CHECK_THROWS_AS(good().loss(*block("loss", "none"), host), espalier::RecipeError);
}
