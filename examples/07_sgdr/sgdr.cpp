// SPDX-License-Identifier: Apache-2.0
// Cosine with warm restarts: Ilya Loshchilov, Frank Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts",
// ICLR 2017 (2016), arXiv:1608.03983, section 3, equation 5.
//
//   rate = min + (peak - min) (1 + cos(π T_cur / T_i)) / 2,   T_{i+1} = T_mult T_i
//
// T_cur counts the steps since the last restart, T_i is the length of the cycle. The paper gives T_0; here it follows
// from the number of cycles and the length of the run, T_0 (1 + T_mult + … ) = steps, so that the run ends where the
// paper takes its solution: at the end of a cycle, at `min`. Cycles end at whole steps. As in the built-in `cosine` the
// step about to be taken counts, and a linear warm-up may come first (the paper has none): one cycle is `cosine`.
#include <algorithm>
#include <cmath>
#include <numbers>

#include <espalier/sdk/sdk.hpp>

namespace {

struct SgdrOptions {
  double peak, min, t_mult;
  std::int64_t cycles, warmup_steps;
  template <class V>
  void fields(V& v) {
    v("peak", peak, 1e-4, espalier::above(0.0), "the rate that every cycle begins at");
    v("min", min, 1e-5, espalier::at_least(0.0), "the rate of the last step of every cycle");
    v("cycles", cycles, 3, espalier::between(1, 30), "number of cycles in the run; 1: no restart");
    v("t_mult", t_mult, 2.0, espalier::between(1.0, 10.0), "each cycle is this many times as long as the one before");
    v("warmup_steps", warmup_steps, 0, espalier::at_least(0.0), "steps of linear rise before the first cycle");
  }
  void validate(espalier::OptionSource& source) const {
    if (min <= peak) return;
    source.problem("min", "min is above peak", espalier::to_text({min}), "at most " + espalier::to_text({peak}));
  }
};

class Sgdr final : public espalier::Scheduler {
 public:
  using Options = SgdrOptions;
  explicit Sgdr(const Options& options) : options_(options) {}

  double at(const espalier::Progress& progress) const override {
    const std::int64_t now = progress.step + 1, warmup = options_.warmup_steps;
    if (now < warmup) return options_.peak * static_cast<double>(now) / static_cast<double>(warmup);
    if (progress.steps <= warmup) return options_.peak;
    std::int64_t begin = 0, end = 0;
    for (std::int64_t cycle = 1; cycle <= options_.cycles && end < now - warmup; ++cycle) {
      begin = end, end = end_of(cycle, progress.steps - warmup);
    }
    const double done = static_cast<double>(now - warmup - begin), length = static_cast<double>(end - begin);
    const double share = length > 0.0 ? std::min(done / length, 1.0) : 0.0;
    return options_.min + (options_.peak - options_.min) * 0.5 * (1.0 + std::cos(std::numbers::pi * share));
  }

 private:
  // Steps from the first cycle's beginning to the end of number `cycle` (from 1): a geometric series' share of all.
  std::int64_t end_of(std::int64_t cycle, std::int64_t steps) const {
    const double m = options_.t_mult, n = static_cast<double>(cycle), all = static_cast<double>(options_.cycles);
    const double share = m == 1.0 ? n / all : (std::pow(m, n) - 1.0) / (std::pow(m, all) - 1.0);
    return std::llround(share * static_cast<double>(steps));
  }

  Options options_;
};

}  // namespace

ESPALIER_PLUGIN("sgdr", "0.1.0", registrar) {
  registrar.add<Sgdr>("sgdr", "cosine with warm restarts, after a linear warm-up (Loshchilov & Hutter 2017)");
}
