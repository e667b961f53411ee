// SPDX-License-Identifier: Apache-2.0
// What an axis promises about specs and selections. That a model cut along it computes the right thing is the program's
// to show: `espalier plugins check`.
#pragma once

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "espalier/testkit/axis_cases.hpp"
#include "espalier/testkit/options.hpp"

namespace espalier::testkit {

namespace detail {

struct SpecCase {
  ModelSpec spec;
  std::string text;
  bool may_refuse = false;
};

inline std::vector<SpecCase> spec_cases() {
  std::vector<SpecCase> cases;
  for (const char* family : kFamilies) cases.push_back({small_spec(family), concat("family ", family), false});
  cases.push_back({uneven_spec(), "layers that differ", true});
  return cases;
}

class AxisChecks {
 public:
  AxisChecks(const std::string& component, Make<PruningAxis> make, const std::string& options)
      : component_(component), checks_(component, options), make_(std::move(make)) {}

  Report all() {
    const at::NoGradGuard no_grad;
    describe();
    extent();
    step();
    select();
    scores();
    ties();
    runs();
    shrink();
    other_dimensions();
    twice();
    pure();
    return checks_.finish();
  }

 private:
  struct Usable {
    SpecCase given;
    std::int64_t extent = 0, step = 1;
  };

  void describe() {
    checks_.run("axis/describe", [&](Trial& trial) {
      const auto axis = make_();
      trial.about("describe()");
      info_ = axis->describe();
      trial.at("describe()");
      trial.expect(info_.name == component_, concat("another name than it is registered under; got '", info_.name,
                                                    "'; expected '", component_, "'"));
      trial.expect(!info_.unit.empty(), "no name for a unit; got ''; expected a word such as 'neuron'");
      trial.expect(!info_.dims.empty(), "no dimensions; expected one or more");
      const bool alone = info_.dims.size() == 1;
      trial.expect(!names(info_, Dim::layers) || (alone && info_.shared && info_.taps.empty()),
                   "an axis of layers with more than layers; expected dims {layers}, shared, no taps");
      trial.expect(removes_layers(info_) || (!info_.one_run && info_.part == Part::whole),
                   "one_run or part without layers; expected them of an axis with dims {layers} only");
      const bool outside = names(info_, Dim::hidden) || names(info_, Dim::vocab);
      trial.expect(!outside || info_.shared,
                   "units that all layers share, chosen for each layer; expected shared = true");
      for (const Tap tap : info_.taps) {
        const std::vector<Dim> seen = dims_seen_at(tap);
        trial.expect(std::search(seen.begin(), seen.end(), info_.dims.begin(), info_.dims.end()) != seen.end(),
                     concat("tap '", espalier::name_of(tap), "' does not carry the axis's dimensions"));
      }
      const AxisInfo again = make_()->describe();
      trial.expect(again.name == info_.name && again.dims == info_.dims && again.taps == info_.taps &&
                       again.shared == info_.shared && again.one_run == info_.one_run && again.part == info_.part,
                   "another instance describes itself differently");
    });
  }

  void extent() {
    checks_.run("axis/extent", [&](Trial& trial) {
      std::string refusals;
      for (const SpecCase& one : spec_cases()) {
        trial.at(one.text);
        try {
          const std::int64_t extent = make_()->extent(one.spec);
          trial.expect(extent >= 1,
                       concat("got an extent of ", extent, "; expected 1 or more, or Error that says why not"));
          const std::int64_t units = units_in(one.spec, info_, 0);
          trial.expect(one.may_refuse || extent == units,
                       concat("the extent is not the number of units; got ", extent, "; expected ", units));
          usable_.push_back({one, extent, 1});
        } catch (const Error& error) {
          trial.expect(*error.what() != '\0', "refused without a text; expected Error that says why");
          refusals += concat(refusals.empty() ? "" : "; ", error.what());
        }
      }
      trial.expect(!usable_.empty(), concat("refuses every family; expected one or more (", refusals, ")"));
    });
  }

  void step() {
    checks_.run("axis/step", [&](Trial& trial) {
      for (Usable& one : usable_) {
        trial.at(one.given.text);
        const std::int64_t got = make_()->step(one.given.spec);
        trial.expect(got >= 1 && got <= one.extent, concat("got a step of ", got, "; expected 1 to ", one.extent));
        one.step = got;
      }
    });
  }

  // Calls use(axis, usable, keep) for every spec and every legal keep, small ones first. A spec of unequal layers may
  // be refused at any time.
  template <class Use>
  void each_keep(Trial& trial, Use&& use) const {
    const auto axis = make_();
    for (const Usable& one : usable_) {
      for (const std::int64_t keep : legal_keeps(one.extent, one.step)) {
        const std::string text = concat(one.given.text, ", keep ", keep, " of ", one.extent);
        trial.about(text);
        try {
          use(*axis, one, keep, text);
        } catch (const Error&) {
          if (!one.given.may_refuse) throw;
        }
      }
    }
  }

  void select() {
    checks_.run("axis/select", [&](Trial& trial) {
      each_keep(trial, [&](const PruningAxis& axis, const Usable& one, std::int64_t keep, const std::string& text) {
        const ModelSpec& spec = one.given.spec;
        judge(trial, axis.select(spec, equal_scores(spec, info_), keep), spec, keep, text + ", equal scores");
        for (std::uint64_t seed = 1; seed <= 3; ++seed) {
          judge(trial, axis.select(spec, shuffled_scores(spec, info_, seed), keep), spec, keep,
                concat(text, ", shuffled scores, seed ", seed));
        }
      });
    });
  }

  void judge(Trial& trial, const Selection& selection, const ModelSpec& spec, std::int64_t keep,
             const std::string& text) const {
    trial.at(text);
    trial.expect(selection.kept.size() == places_of(spec, info_),
                 concat("got ", selection.kept.size(), " lists of kept units; expected ", places_of(spec, info_)));
    for (std::size_t place = 0; place < selection.kept.size(); ++place) {
      const std::vector<std::int64_t>& kept = selection.kept[place];
      const std::int64_t units = units_in(spec, info_, place), expected = units == 0 ? 0 : keep;
      const std::string of = info_.shared ? "" : concat(" for layer ", place);
      trial.expect(static_cast<std::int64_t>(kept.size()) == expected,
                   concat("got ", kept.size(), " units", of, ", ", listed(kept), "; expected ", expected));
      for (std::size_t i = 0; i < kept.size(); ++i) {
        trial.expect(kept[i] >= 0 && kept[i] < units,
                     concat("a unit that is not there", of, "; got ", kept[i], "; expected 0 to ", units - 1));
        trial.expect(i == 0 || kept[i] > kept[i - 1],
                     concat("units that are not ascending, each once", of, "; got ", listed(kept)));
      }
    }
  }

  void scores() {
    checks_.run("axis/scores", [&](Trial& trial) {
      each_keep(trial, [&](const PruningAxis& axis, const Usable& one, std::int64_t keep, const std::string& text) {
        const ModelSpec& spec = one.given.spec;
        const Scores before = shuffled_scores(spec, info_, 2);
        const Selection chosen = axis.select(spec, before, keep);
        for (std::size_t place = 0; place < chosen.kept.size(); ++place) {
          for (const std::int64_t unit : chosen.kept[place]) {
            Scores better = before;
            better.per_layer[place] = before.per_layer[place].clone();
            better.per_layer[place].select(0, unit).add_(1000.0);
            trial.at(concat(text, ", score of unit ", unit, " in list ", place, " raised"));
            const std::vector<std::int64_t> kept = axis.select(spec, better, keep).kept.at(place);
            trial.expect(std::find(kept.begin(), kept.end(), unit) != kept.end(),
                         concat("a kept unit is dropped when its score rises; got ", listed(kept), "; expected ", unit,
                                " among them"));
          }
        }
      });
    });
  }

  // A dropped unit whose score rises just above a kept one's, and then takes its place, competes with it: with one
  // score the lower index has the place.
  void ties() {
    checks_.run("axis/ties", [&](Trial& trial) {
      each_keep(trial, [&](const PruningAxis& axis, const Usable& one, std::int64_t keep, const std::string& text) {
        const ModelSpec& spec = one.given.spec;
        const Scores before = shuffled_scores(spec, info_, 2);
        const std::vector<std::int64_t> kept = axis.select(spec, before, keep).kept.at(0);
        for (std::int64_t out = 0; out < units_in(spec, info_, 0); ++out) {
          if (std::find(kept.begin(), kept.end(), out) != kept.end()) continue;
          for (const std::int64_t in : kept) {
            const auto with_score = [&](double above) {
              // In every place: an axis may rank by what all of them say.
              Scores raised;
              for (const at::Tensor& scores : before.per_layer) {
                raised.per_layer.push_back(scores.clone());
                if (std::max(in, out) < scores.size(0)) raised.per_layer.back()[out].copy_(scores[in] + above);
              }
              return axis.select(spec, raised, keep).kept.at(0);
            };
            std::vector<std::int64_t> other = kept;
            std::replace(other.begin(), other.end(), in, out);
            std::sort(other.begin(), other.end());
            if (with_score(0.5) != other) continue;
            trial.at(concat(text, ", units ", std::min(in, out), " and ", std::max(in, out), " with one score"));
            const std::vector<std::int64_t>& expected = in < out ? kept : other;
            const std::vector<std::int64_t> got = with_score(0.0);
            trial.expect(got == expected, concat("of two equal units the higher index stays; got ", listed(got),
                                                 "; expected ", listed(expected)));
          }
        }
      });
      trial.skip("no two units compete");
    });
  }

  // Scores of runs, by their first unit: the run with the smallest one goes, of equal ones the last.
  void runs() {
    checks_.run("axis/runs", [&](Trial& trial) {
      if (!info_.one_run) trial.skip("its units do not go as one run");
      each_keep(trial, [&](const PruningAxis& axis, const Usable& one, std::int64_t keep, const std::string& text) {
        const ModelSpec& spec = one.given.spec;
        const std::int64_t units = units_in(spec, info_, 0), removed = units - keep;
        if (removed < 1) return;
        const auto judge_run = [&](const Scores& scores, std::int64_t first, const std::string& which) {
          std::vector<std::int64_t> expected;
          for (std::int64_t unit = 0; unit < units; ++unit) {
            if (unit < first || unit >= first + removed) expected.push_back(unit);
          }
          const std::vector<std::int64_t> got = axis.select(spec, scores, keep).kept.at(0);
          trial.at(concat(text, ", scores of runs of ", removed, which));
          trial.expect(got == expected,
                       concat("another run than the weakest goes; got ", listed(got), "; expected ", listed(expected)));
        };
        for (std::uint64_t seed = 1; seed <= 3; ++seed) {
          const Scores scores = shuffled_run_scores(spec, info_, removed, seed);
          judge_run(scores, scores.per_layer[0].argmin().item<std::int64_t>(), concat(", seed ", seed));
        }
        judge_run({{at::ones({units - removed + 1})}}, units - removed, ", all equal");
      });
    });
  }

  ModelSpec cut(const PruningAxis& axis, const ModelSpec& spec, std::int64_t keep) const {
    return axis.shrink(spec, axis.select(spec, shuffled_scores(spec, info_, 2), keep));
  }

  void shrink() {
    checks_.run("axis/shrink", [&](Trial& trial) {
      each_keep(trial, [&](const PruningAxis& axis, const Usable& one, std::int64_t keep, const std::string& text) {
        const std::int64_t left = axis.extent(cut(axis, one.given.spec, keep));
        trial.at(text);
        trial.expect(left == keep,
                     concat("the spec after the cut has another extent; got ", left, "; expected ", keep));
      });
    });
  }

  void other_dimensions() {
    checks_.run("axis/other-dimensions", [&](Trial& trial) {
      each_keep(trial, [&](const PruningAxis& axis, const Usable& one, std::int64_t keep, const std::string& text) {
        ModelSpec expected = one.given.spec;
        const Selection selection = axis.select(expected, shuffled_scores(expected, info_, 2), keep);
        const ModelSpec after = axis.shrink(one.given.spec, selection);
        if (removes_layers(info_)) expected = without_units(expected, info_, selection.kept.at(0));
        trial.at(text);
        const std::string apart = first_difference(with_own_dimensions_of(expected, after, info_), expected);
        trial.expect(apart.empty(), concat("the cut changes ", apart));
      });
    });
  }

  void twice() {
    checks_.run("axis/twice", [&](Trial& trial) {
      each_keep(trial, [&](const PruningAxis& axis, const Usable& one, std::int64_t keep, const std::string& text) {
        const ModelSpec once = cut(axis, one.given.spec, keep);
        for (const std::int64_t next : legal_keeps(axis.extent(once), axis.step(once))) {
          trial.at(concat(text, ", then keep ", next));
          const std::int64_t left = axis.extent(cut(axis, once, next));
          trial.expect(left == next, concat("the second cut leaves another extent; got ", left, "; expected ", next));
        }
      });
    });
  }

  void pure() {
    checks_.run("axis/pure", [&](Trial& trial) {
      const auto axis = make_();
      for (const Usable& one : usable_) {
        if (one.given.may_refuse) continue;
        const ModelSpec& spec = one.given.spec;
        const Scores scores = shuffled_scores(spec, info_, 3);
        const std::int64_t keep = legal_keeps(one.extent, one.step).front();
        trial.at(concat(one.given.text, ", keep ", keep, ", asked again and of another instance"));
        const Selection first = axis->select(spec, scores, keep);
        const ModelSpec smaller = axis->shrink(spec, first);
        const auto fresh = make_();
        for (const PruningAxis* other : {axis.get(), fresh.get()}) {
          trial.expect(other->extent(spec) == one.extent && other->step(spec) == one.step, "extent or step change");
          trial.expect(other->select(spec, scores, keep) == first, "the same scores give another selection");
          trial.expect(other->shrink(spec, first) == smaller, "the same selection gives another spec");
        }
      }
    });
  }

  std::string component_;
  Checklist checks_;
  Make<PruningAxis> make_;
  AxisInfo info_;
  std::vector<Usable> usable_;
};

}  // namespace detail

// `component`: the name that the axis is registered under.
inline Report check_axis(const std::string& component, Make<PruningAxis> make, const std::string& options = "") {
  return detail::AxisChecks(component, std::move(make), options).all();
}

inline Report check(const std::string& component, const Factory<PruningAxis>& factory) {
  return check_variants(component, factory, check_axis);
}

}  // namespace espalier::testkit
