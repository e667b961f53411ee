// SPDX-License-Identifier: Apache-2.0
#include "core/search/search_table.hpp"

#include "tests/core/search/searched.hpp"

namespace {

using namespace espalier;
using espalier::test::Searched;
using espalier::test::small_llama;

const HalvingPlan kPlan{0, 0.5, {100, 50}};

Candidates three() {
  return Searched({"axis = \"layers\""}, "axes = [ { axis = \"layers\", keep = [2, 3, 4] } ]\n")
      .candidates(small_llama(), {2, 64});
}

std::vector<Standing> standings() {
  return {{5.5, {3.25}, 100, 1, 3}, {4.5, {2.0, 1.75}, 150, std::nullopt, 2}, {6.5, {2.5, 1.5}, 150, std::nullopt, 1}};
}

}  // namespace

TEST_CASE("search.json has every candidate with its numbers, the winner first, and gives the standings back") {
  const Candidates all = three();  // layers4, layers3, layers2
  const nlohmann::json table = nlohmann::json::parse(search_to_json(all, standings(), kPlan).dump());
  CHECK(table["winner"] == "layers2");
  CHECK(table["candidates"][0]["name"] == "layers2");
  CHECK(table["candidates"][0]["parameters"] == 21'920);
  CHECK(table["candidates"][0]["memory"] == 2 * 21'920 + 64 * 128);
  CHECK(table["candidates"][0]["shape"]["ffn"] == 48);
  CHECK(table["candidates"][2]["dropped_in_round"] == 1);
  CHECK(table["candidates"][1]["dropped_in_round"].is_null());
  CHECK(table["tokens"] == 400);
  CHECK(table["tokens_of_all"] == 450);
  CHECK(winner_of(table, {"layers"}, "search.json") == std::vector<std::int64_t>{2});
  const std::vector<Standing> back = standings_from_json(table, all);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(back[i].zero_shot == standings()[i].zero_shot);
    CHECK(back[i].nll == standings()[i].nll);
    CHECK(back[i].tokens == standings()[i].tokens);
  }
}

TEST_CASE("a table without its winner is damaged") {
  CHECK_THROWS_WITH(winner_of({{"candidates", nlohmann::json::array()}, {"winner", "x"}}, {"layers"}, "search.json"),
                    "search.json: the winner is not one of the candidates");
}

TEST_CASE("the printed table names what a shape does not suit, and what the search has cost") {
  const Candidates all = three();
  const std::string text = search_to_text(all, standings(), kPlan, {{"layers2", 1234.5}});
  CHECK(text.starts_with("candidate  layers  hidden  heads  kv  head_dim  ffn  parameters"));
  CHECK(text.find("nll before  round 1  round 2  tokens             outcome  rank  tokens/s\n") != std::string::npos);
  CHECK(text.find("5.5000   3.2500        -     100  dropped in round 1     3         -\n") != std::string::npos);
  CHECK(text.find(
            "(1) llama.cpp quants: a row is not a multiple of 32\n(2) tensor cores: a row is not a multiple of 64\n") !=
        std::string::npos);
  CHECK(text.find("trained on 400 tokens, 88.9 % of the 450 for every candidate to the end\n") != std::string::npos);
  CHECK(search_to_text(all, {}, {}, {}).find("nll") == std::string::npos);
}
