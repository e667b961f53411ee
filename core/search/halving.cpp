// SPDX-License-Identifier: Apache-2.0
#include "core/search/halving.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/interrupt.hpp"

namespace espalier {
namespace {

using Order = std::vector<std::size_t>;

class Halving {
 public:
  Halving(const HalvingPlan& plan, std::vector<Standing>& standings, Contest& contest)
      : plan_(plan), standings_(standings), contest_(contest), alive_(standings.size()) {
    std::iota(alive_.begin(), alive_.end(), 0);
  }

  void run() {
    first_ranking();
    std::int64_t tokens = 0;
    for (std::size_t round = 1; round <= plan_.rounds.size() && alive_.size() > 1; ++round) {
      tokens += plan_.rounds[round - 1];
      play(round, tokens);
    }
    for (std::size_t place = 0; place < alive_.size(); ++place) {
      standings_[alive_[place]].rank = static_cast<std::int64_t>(place) + 1;
    }
    contest_.changed(standings_);
  }

 private:
  void first_ranking() {
    for (const std::size_t candidate : alive_) {
      Standing& standing = standings_[candidate];
      if (standing.zero_shot) continue;
      throw_if_interrupted();
      standing.zero_shot = contest_.zero_shot(candidate);
      contest_.changed(standings_);
    }
    sort(alive_, 0);
    const std::size_t all = alive_.size(), limit = static_cast<std::size_t>(plan_.top_k);
    if (!plan_.rounds.empty()) drop(limit == 0 ? all : std::min(limit, all), 0);
  }

  void play(std::size_t round, std::int64_t tokens) {
    const std::size_t count = alive_.size();
    const bool last = round == plan_.rounds.size();
    // The whole share, but for rounding of the product: 0.3 of 10 are 3.
    const double share = std::ceil(plan_.keep * static_cast<double>(count) - 1e-9);
    const std::size_t keep = last ? count : std::clamp<std::size_t>(static_cast<std::size_t>(share), 1, count);
    const Order players = alive_;
    Order measured;
    for (const std::size_t candidate : players) {
      Standing& standing = standings_[candidate];
      if (standing.nll.size() < round) {
        throw_if_interrupted();
        standing.nll.push_back(contest_.trained(candidate, round, tokens));
        standing.tokens = tokens;
        contest_.changed(standings_);
      }
      measured.push_back(candidate);
      sort(measured, round);
      // Those with enough better ones cannot stay, whatever follows: their states need not wait on the disk.
      for (std::size_t place = keep; place < measured.size(); ++place) contest_.dropped(measured[place]);
    }
    alive_ = measured;
    drop(keep, round);
  }

  // By the loss after `round` (0: before training), the best first.
  void sort(Order& order, std::size_t round) const {
    const auto loss = [&](std::size_t candidate) {
      return round == 0 ? *standings_[candidate].zero_shot : standings_[candidate].nll[round - 1];
    };
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return loss(a) != loss(b) ? loss(a) < loss(b) : a < b; });
  }

  // Candidates beyond the first `keep` go. Their ranks are known: those that went on are better.
  void drop(std::size_t keep, std::size_t round) {
    for (std::size_t place = keep; place < alive_.size(); ++place) {
      Standing& standing = standings_[alive_[place]];
      standing.dropped = static_cast<std::int64_t>(round);
      standing.rank = static_cast<std::int64_t>(place) + 1;
      if (round > 0) contest_.dropped(alive_[place]);
    }
    const bool fewer = keep < alive_.size();
    alive_.resize(keep);
    if (fewer) contest_.changed(standings_);
  }

  const HalvingPlan& plan_;
  std::vector<Standing>& standings_;
  Contest& contest_;
  Order alive_;
};

}  // namespace

void halve(const HalvingPlan& plan, std::vector<Standing>& standings, Contest& contest) {
  Halving(plan, standings, contest).run();
}

}  // namespace espalier
