// SPDX-License-Identifier: Apache-2.0
#include "core/search/halving.hpp"

#include <doctest/doctest.h>

#include <set>
#include <stdexcept>

namespace {

using namespace espalier;

// Losses from a table: [candidate][0] before training, then after each round. Counts what is asked of it.
class Table final : public Contest {
 public:
  explicit Table(std::vector<std::vector<double>> losses) : losses_(std::move(losses)) {}
  double zero_shot(std::size_t candidate) override {
    tick();
    ++measured;
    return losses_[candidate][0];
  }
  double trained(std::size_t candidate, std::size_t round, std::int64_t tokens) override {
    tick();
    CHECK_MESSAGE(!gone.contains(candidate), "a dropped candidate is trained");
    trained_to.push_back({candidate, tokens});
    return losses_[candidate][round];
  }
  void changed(const std::vector<Standing>& standings) override { kept = standings; }
  void dropped(std::size_t candidate) override { gone.insert(candidate); }

  int stop_after = -1;  // measurements; -1: never
  int measured = 0;
  std::vector<std::pair<std::size_t, std::int64_t>> trained_to;
  std::set<std::size_t> gone;
  std::vector<Standing> kept;

 private:
  void tick() {
    if (stop_after == 0) throw std::runtime_error("killed");
    if (stop_after > 0) --stop_after;
  }
  std::vector<std::vector<double>> losses_;
};

std::vector<std::int64_t> ranks(const std::vector<Standing>& standings) {
  std::vector<std::int64_t> result;
  for (const Standing& standing : standings) result.push_back(standing.rank);
  return result;
}

bool operator==(const Standing& a, const Standing& b) {
  return a.zero_shot == b.zero_shot && a.nll == b.nll && a.tokens == b.tokens && a.dropped == b.dropped &&
         a.rank == b.rank;
}

// Six candidates. The first ranking is 5 4 3 2 1 0 (5 is best); the first round turns it round.
const std::vector<std::vector<double>> kLosses = {{6, 1.0, 0.9}, {5, 1.1, 0.8}, {4, 1.2, 0.7},
                                                  {3, 1.3, 0.6}, {2, 1.4, 0.5}, {1, 1.5, 0.4}};

}  // namespace

TEST_CASE("half of each round goes on, training on, and every rank is known") {
  Table table(kLosses);
  std::vector<Standing> standings(6);
  halve({0, 0.5, {100, 50}}, standings, table);
  // Round 1: 0 1 2 stay. Round 2: 2 (0.7) before 1 (0.8) before 0 (0.9).
  CHECK(ranks(standings) == std::vector<std::int64_t>{3, 2, 1, 4, 5, 6});
  CHECK(standings[2].tokens == 150);
  CHECK(standings[3].tokens == 100);
  CHECK(!standings[0].dropped.has_value());
  CHECK(standings[3].dropped == 1);
  CHECK(table.gone == std::set<std::size_t>{3, 4, 5});
  CHECK(table.trained_to.size() == 9);
  CHECK(table.trained_to.back().second == 150);
}

TEST_CASE("the first ranking lets top_k into the rounds; ranks of the others follow it") {
  Table table(kLosses);
  std::vector<Standing> standings(6);
  halve({3, 0.5, {100, 50}}, standings, table);
  // 5, 4 and 3 train; after round 1 3 and 4 stay (two of three); 4 wins.
  CHECK(ranks(standings) == std::vector<std::int64_t>{6, 5, 4, 2, 1, 3});
  CHECK(standings[0].dropped == 0);
  CHECK(standings[0].tokens == 0);
  CHECK(table.trained_to.size() == 5);
}

TEST_CASE("without rounds the loss before training decides, and top_k drops nothing") {
  Table table(kLosses);
  std::vector<Standing> standings(6);
  halve({2, 0.5, {}}, standings, table);
  CHECK(ranks(standings) == std::vector<std::int64_t>{6, 5, 4, 3, 2, 1});
  CHECK(!standings[0].dropped.has_value());
}

TEST_CASE("one candidate is not trained at all, and equal losses go to the lower index") {
  Table one({{1, 1}});
  std::vector<Standing> alone(1);
  halve({0, 0.5, {100}}, alone, one);
  CHECK(alone[0].rank == 1);
  CHECK(one.trained_to.empty());
  Table equal({{2, 1}, {2, 1}, {2, 1}});
  std::vector<Standing> standings(3);
  halve({0, 0.5, {100}}, standings, equal);
  CHECK(ranks(standings) == std::vector<std::int64_t>{1, 2, 3});
}

TEST_CASE("with a share of 1 all are trained to the end") {
  Table table(kLosses);
  std::vector<Standing> standings(6);
  halve({0, 1.0, {100, 50}}, standings, table);
  CHECK(table.trained_to.size() == 12);
  CHECK(ranks(standings) == std::vector<std::int64_t>{6, 5, 4, 3, 2, 1});
}

TEST_CASE("stopped after any measurement and run again, it ends with the same standings and measures nothing twice") {
  Table whole(kLosses);
  std::vector<Standing> expected(6);
  const HalvingPlan plan{5, 0.6, {100, 50}};
  halve(plan, expected, whole);
  const int total = whole.measured + static_cast<int>(whole.trained_to.size());
  for (int stop = 0; stop < total; ++stop) {
    CAPTURE(stop);
    Table first(kLosses), second(kLosses);
    first.stop_after = stop;
    first.kept.resize(6);
    std::vector<Standing> standings(6);
    CHECK_THROWS_WITH(halve(plan, standings, first), "killed");
    // What was kept holds the measurements; the rest follows from them.
    std::vector<Standing> again(6);
    for (std::size_t i = 0; i < 6; ++i) {
      again[i].zero_shot = first.kept[i].zero_shot;
      again[i].nll = first.kept[i].nll;
      again[i].tokens = first.kept[i].tokens;
    }
    halve(plan, again, second);
    for (std::size_t i = 0; i < 6; ++i) CHECK(again[i] == expected[i]);
    CHECK(first.measured + second.measured + static_cast<int>(first.trained_to.size() + second.trained_to.size()) ==
          total);
  }
}
