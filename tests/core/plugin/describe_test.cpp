// SPDX-License-Identifier: Apache-2.0
#include "core/plugin/describe.hpp"

#include <nlohmann/json.hpp>
#include <string>

#include "support.hpp"

using espalier::Registry;
using espalier_test::fixture;

TEST_CASE("the list has a heading for each kind and a line for each component") {
  Registry registry;
  CHECK(espalier::plugins_list_text(registry) == "no plugins are loaded\n");
  espalier::load_plugin(fixture("good"), registry);
  CHECK(espalier::plugins_list_text(registry) ==
        "axis\n"
        "  width  good 1.2.3  neurons\n"
        "\n"
        "loss\n"
        "  soft      good 1.2.3  a loss with an option of each type\n"
        "  throwing  good 1.2.3  throws what it is told to\n"
        "\n"
        "metric\n"
        "  flat  good 1.2.3  the seed, for every unit\n"
        "\n"
        "scheduler\n"
        "  rising  good 1.2.3  the step's number\n");
}

TEST_CASE("a component is shown with its library and its options") {
  Registry registry;
  espalier::load_plugin(fixture("good"), registry);
  CHECK(espalier::plugins_show_text(registry, "soft") ==
        "loss soft: a loss with an option of each type\n"
        "  plugin   good 1.2.3\n"
        "  library  " +
            fixture("good") +
            "\n"
            "  options\n"
            "    flag         = true      a bool                                  a bool\n"
            "    count        = 3         an integer from 0 to 9                  an integer\n"
            "    temperature  = 1.0       a real above 0                          softens both distributions\n"
            "    tail         = \"bucket\"  \"zero\" or \"bucket\"                      what stands for the rest\n"
            "    layers       = []        a list of integers, each of at least 0  which layers\n");
  CHECK(espalier::plugins_show_text(registry, "width") ==
        "axis width: neurons\n"
        "  plugin        good 1.2.3\n"
        "  library       " +
            fixture("good") +
            "\n"
            "  Hugging Face  intermediate_size\n"
            "  Megatron      ffn_hidden_size\n"
            "  unit          neuron\n"
            "  no options\n");
  CHECK_THROWS_WITH_AS(espalier::plugins_show_text(registry, "sof"),
                       "plugins show: unknown component; got 'sof'; expected 'flat', 'rising', 'soft', 'throwing' or "
                       "'width'; did you mean 'soft'?",
                       espalier::RecipeError);
}

TEST_CASE("a page of documentation has a table of options") {
  Registry registry;
  espalier::load_plugin(fixture("good"), registry);
  CHECK(espalier::plugins_show_markdown(registry, "soft") ==
        "## loss `soft`\n\na loss with an option of each type (plugin good 1.2.3)\n\n"
        "| option | default | expects | what it does |\n|---|---|---|---|\n"
        "| `flag` | `true` | a bool | a bool |\n"
        "| `count` | `3` | an integer from 0 to 9 | an integer |\n"
        "| `temperature` | `1.0` | a real above 0 | softens both distributions |\n"
        "| `tail` | `\"bucket\"` | \"zero\" or \"bucket\" | what stands for the rest |\n"
        "| `layers` | `[]` | a list of integers, each of at least 0 | which layers |\n");
  CHECK(espalier::plugins_show_markdown(registry, "rising") ==
        "## scheduler `rising`\n\nthe step's number (plugin good 1.2.3)\n\nIt has no options.\n");
}

TEST_CASE("JSON says the same, with types for scripts") {
  Registry registry;
  espalier::load_plugin(fixture("good"), registry);
  CHECK(espalier::plugins_json(registry, "").size() == 5);
  const nlohmann::json soft = espalier::plugins_json(registry, "soft").at(0);
  CHECK(soft["kind"] == "loss");
  CHECK(soft["plugin"]["version"] == "1.2.3");
  CHECK(soft["options"][1] == nlohmann::json({{"name", "count"},
                                              {"type", "integer"},
                                              {"default", 3},
                                              {"minimum", 0.0},
                                              {"maximum", 9.0},
                                              {"doc", "an integer"}}));
  CHECK(soft["options"][2]["above"] == 0.0);
  CHECK(soft["options"][3]["choices"] == nlohmann::json({"zero", "bucket"}));
  CHECK(soft["options"][4]["default"] == nlohmann::json::array());
}
