// SPDX-License-Identifier: Apache-2.0
// What a metric promises, on made-up evidence for every axis that it accepts.
#pragma once

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "espalier/sdk/metric.hpp"
#include "espalier/testkit/metric_material.hpp"
#include "espalier/testkit/options.hpp"

namespace espalier::testkit {

// Two orders of summation of a few hundred float32 numbers differ by up to 1e-5 of the sum; a variance from two sums
// loses a digit more. What a metric that miscounts does is far larger.
inline constexpr double kScoreTolerance = 1e-4;

namespace detail {

class MetricChecks {
 public:
  MetricChecks(const std::string& component, Make<ImportanceMetric> make, const std::string& options)
      : checks_(component, options), make_(std::move(make)) {}

  Report all() {
    const at::NoGradGuard no_grad;
    axes();
    scores();
    finite();
    deterministic();
    instances();
    permutation();
    micro_batches();
    merge();
    resume();
    memory();
    dtype();
    return checks_.finish();
  }

 private:
  struct Accepted {
    AxisInfo axis;
    Needs needs;
  };
  using Instance = std::unique_ptr<ImportanceMetric>;

  void axes() {
    checks_.run("metric/axes", [&](Trial& trial) {
      std::string refusals;
      for (const AxisInfo& axis : standard_axes()) {
        trial.at(concat("axis '", axis.name, "'"));
        try {
          const Needs needs = make_()->needs(axis);
          judge(trial, axis, needs);
          accepted_.push_back({axis, needs});
        } catch (const Error& error) {
          trial.expect(*error.what() != '\0',
                       "refused without a text; expected Error that says which axes it can score");
          refusals += concat(refusals.empty() ? "" : "; ", error.what());
        }
      }
      trial.at("axes 'hidden', 'ffn', 'heads', 'kv_groups' and 'layers'");
      trial.expect(!accepted_.empty(), concat("got no axis that it accepts; expected one or more (", refusals, ")"));
    });
  }

  static void judge(Trial& trial, const AxisInfo& axis, const Needs& needs) {
    const bool layers = removes_layers(axis);
    const bool of_blocks = needs.evidence == Evidence::block_io || is_measured(needs.evidence);
    trial.expect(layers || !of_blocks, concat("asks for ", name_of(needs.evidence),
                                              "; expected evidence of a width, such as activations or weights"));
    trial.expect(!needs.runs || of_blocks, concat("asks for runs with ", name_of(needs.evidence),
                                                  "; expected them with block_io, probe or task"));
    trial.expect(!needs.readers || needs.evidence == Evidence::activations,
                 "asks for readers; expected them beside activations only");
    if (needs.evidence != Evidence::activations && (needs.evidence != Evidence::gradients || layers)) return;
    trial.expect(std::find(axis.taps.begin(), axis.taps.end(), needs.tap) != axis.taps.end(),
                 concat("asks for tap '", espalier::name_of(needs.tap), "'; expected one of the axis's taps"));
  }

  // Calls use(material) for every accepted axis whose evidence is one of `kinds`, small sizes first.
  template <class Use>
  void each(const std::vector<Evidence>& kinds, Use&& use) const {
    for (const MaterialSize& size : {MaterialSize{2, 2, 2}, MaterialSize{5, 6, 7}}) {
      for (const Accepted& one : accepted_) {
        if (std::find(kinds.begin(), kinds.end(), one.needs.evidence) == kinds.end()) continue;
        use(make_material(one.axis, one.needs, size, 7));
      }
    }
  }

  static std::vector<std::int64_t> whole(const Material& material) { return {material.size.samples}; }
  static std::vector<std::int64_t> singles(const Material& material) {
    return std::vector<std::int64_t>(static_cast<std::size_t>(material.size.samples), 1);
  }

  Instance begun(const Material& material) const {
    Instance metric = make_();
    metric->begin(material.site);
    if (material.needs.readers) metric->observe(Exhibit{.readers = material.readers}.observation());
    return metric;
  }

  static void show(ImportanceMetric& metric, const std::vector<Exhibit>& exhibits) {
    for (const Exhibit& exhibit : exhibits) metric.observe(exhibit.observation());
  }

  at::Tensor scored(const Material& material, const std::vector<std::int64_t>& cut) const {
    const Instance metric = begun(material);
    show(*metric, observations(material, cut));
    return metric->scores().clone();
  }

  void scores() {
    checks_.run("metric/scores", [&](Trial& trial) {
      each(kAll, [&](const Material& material) {
        trial.at(material.text);
        const Instance metric = begun(material);
        show(*metric, observations(material, whole(material)));
        const at::Tensor got = metric->scores();
        trial.expect(got.defined(), "got no scores; expected a tensor");
        trial.expect(
            got.dim() == 1 && got.size(0) == material.size.units,
            concat("scores have the wrong shape; got ", got.sizes(), "; expected [", material.size.units, "]"));
        trial.expect(got.scalar_type() == at::kFloat && got.is_cpu(),
                     concat("scores have the wrong type; got ", got.scalar_type(), " on ", got.device(),
                            "; expected Float on cpu"));
        trial.expect(all_finite(got), concat("scores are not finite; got ", brief(got)));
        const at::Tensor first = got.clone();
        trial.same(metric->scores(), first, 0.0, "scores change when asked for again");
      });
    });
  }

  void finite() {
    checks_.run("metric/finite", [&](Trial& trial) {
      each(kEvident, [&](const Material& material) {
        const auto try_with = [&](const std::string& how, double value) {
          const Material extreme = changed(material, how, [&](const at::Tensor& x) { return at::full_like(x, value); });
          trial.at(extreme.text);
          const at::Tensor got = scored(extreme, whole(extreme));
          trial.expect(all_finite(got), concat("scores are not finite; got ", brief(got)));
        };
        try_with("all zero", 0.0);
        try_with("all 1", 1.0);
        try_with("all 65504, the largest float16", 65504.0);
      });
    });
  }

  void deterministic() {
    checks_.run("metric/deterministic", [&](Trial& trial) {
      each(kAll, [&](const Material& material) {
        trial.at(material.text);
        const at::Tensor first = scored(material, whole(material));
        trial.same(scored(material, whole(material)), first, 0.0, "a second instance has other scores");
      });
    });
  }

  void instances() {
    checks_.run("metric/instances", [&](Trial& trial) {
      each(kAll, [&](const Material& material) {
        Material other = changed(material, "beside another instance that sees ten times as much",
                                 [](const at::Tensor& x) { return x * 10.0; });
        other.site.seed += 1;
        trial.at(other.text);
        const at::Tensor alone = scored(material, singles(material));
        const Instance one = begun(material), two = begun(other);
        const std::vector<Exhibit> ours = observations(material, singles(material)),
                                   theirs = observations(other, singles(other));
        for (std::size_t i = 0; i < ours.size(); ++i) {
          one->observe(ours[i].observation());
          two->observe(theirs[i].observation());
        }
        two->scores();
        trial.same(one->scores(), alone, 0.0, "scores depend on another instance");
      });
    });
  }

  void permutation() {
    checks_.run("metric/permutation", [&](Trial& trial) {
      each(kEvident, [&](const Material& material) {
        std::vector<std::int64_t> order(static_cast<std::size_t>(material.size.units));
        std::iota(order.begin(), order.end(), 0);
        std::rotate(order.begin(), order.begin() + 1, order.end());
        const Material other = permuted(material, order);
        trial.at(other.text);
        const at::Tensor expected = scored(material, whole(material)).index_select(0, at::tensor(order, at::kLong));
        trial.same(scored(other, whole(other)), expected, kScoreTolerance, "scores do not follow their units");
      });
      trial.skip("asks for no evidence");
    });
  }

  void micro_batches() {
    checks_.run("metric/micro-batches", [&](Trial& trial) {
      each({Evidence::activations, Evidence::block_io, Evidence::weights, Evidence::gradients},
           [&](const Material& material) {
             const at::Tensor expected = scored(material, whole(material));
             for (const std::vector<std::int64_t>& cut : cuts(material)) {
               const bool pieces = material.needs.evidence == Evidence::weights;
               trial.at(concat(material.text, pieces ? concat(", in ", cut.size(), " pieces")
                                                     : ", in observations of " + listed(cut)));
               trial.same(
                   scored(material, cut), expected, kScoreTolerance,
                   pieces ? "scores depend on how weights are cut into pieces" : "scores depend on the micro-batch");
             }
           });
      trial.skip("its evidence is never cut");
    });
  }

  static std::vector<std::vector<std::int64_t>> cuts(const Material& material) {
    if (material.size.samples < 6) return {singles(material)};
    return {singles(material), {1, 2, 3}, {4, 2}};
  }

  void merge() {
    checks_.run("metric/merge", [&](Trial& trial) {
      each({Evidence::activations, Evidence::block_io, Evidence::gradients}, [&](const Material& material) {
        const std::vector<Exhibit> all = observations(material, singles(material));
        const std::size_t each_sample = material.inputs.size();
        const at::Tensor expected = scored(material, singles(material));
        for (std::size_t first = 1; first < static_cast<std::size_t>(material.size.samples); first += 2) {
          trial.at(concat(material.text, "; the first ", first, " and the rest"));
          const auto middle = all.begin() + static_cast<std::ptrdiff_t>(first * each_sample);
          const Instance one = begun(material), two = begun(material);
          show(*one, {all.begin(), middle});
          show(*two, {middle, all.end()});
          one->merge(two->state());
          trial.same(one->scores(), expected, kScoreTolerance, "merged scores differ from those of one instance");
        }
      });
      trial.skip("sees no samples");
    });
  }

  void resume() {
    checks_.run("metric/resume", [&](Trial& trial) {
      each(kEvident, [&](const Material& material) {
        const std::vector<Exhibit> all = observations(material, singles(material));
        trial.at(concat(material.text, "; restored after ", all.size() / 2, " of ", all.size(), " observations"));
        const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
        const Instance old = begun(material), fresh = begun(material);
        show(*old, {all.begin(), middle});
        std::vector<at::Tensor> saved;
        for (const at::Tensor& tensor : old->state()) saved.push_back(tensor.clone());  // as from a file
        show(*old, {middle, all.end()});
        fresh->restore(saved);
        show(*fresh, {middle, all.end()});
        trial.same(fresh->scores(), old->scores(), kScoreTolerance, "scores after restore() differ from going on");
      });
      trial.skip("asks for no evidence");
    });
  }

  void memory() {
    checks_.run("metric/memory", [&](Trial& trial) {
      each({Evidence::activations, Evidence::block_io, Evidence::weights, Evidence::gradients},
           [&](const Material& material) {
             if (material.size.units > 2) return;
             const std::vector<Exhibit> all = observations(material, singles(material));
             const Instance metric = begun(material);
             const auto bytes_after = [&](int times) {
               for (int i = 0; i < times; ++i) show(*metric, all);
               std::size_t bytes = 0;
               for (const at::Tensor& tensor : metric->state()) bytes += tensor.nbytes();
               return bytes;
             };
             const std::size_t early = bytes_after(32), late = bytes_after(96);
             trial.at(concat(material.text, "; ", 32 * all.size(), " and ", 128 * all.size(), " observations"));
             trial.expect(late <= early, concat("state() grows with the observations; got ", early, " and then ", late,
                                                " bytes; expected the same"));
           });
      trial.skip("observes nothing, or each unit once");
    });
  }

  void dtype() {
    checks_.run("metric/dtype", [&](Trial& trial) {
      each({Evidence::activations, Evidence::block_io, Evidence::gradients}, [&](const Material& material) {
        const Material narrow = changed(material, "bfloat16", [](const at::Tensor& x) { return x.to(at::kBFloat16); });
        const Material wide = changed(narrow, "", [](const at::Tensor& x) { return x.to(at::kFloat); });
        trial.at(narrow.text);
        trial.same(scored(narrow, whole(narrow)), scored(wide, whole(wide)), kScoreTolerance,
                   "bfloat16 evidence scores other than the same numbers in float32");
      });
      trial.skip("its evidence is always float32");
    });
  }

  static inline const std::vector<Evidence> kEvident = {Evidence::activations, Evidence::block_io,  Evidence::weights,
                                                        Evidence::probe,       Evidence::gradients, Evidence::task};
  static inline const std::vector<Evidence> kAll = {Evidence::none,    Evidence::activations, Evidence::block_io,
                                                    Evidence::weights, Evidence::probe,       Evidence::gradients,
                                                    Evidence::task};
  Checklist checks_;
  Make<ImportanceMetric> make_;
  std::vector<Accepted> accepted_;
};

}  // namespace detail

// `options`: how `make` makes it, for examples.
inline Report check_metric(const std::string& component, Make<ImportanceMetric> make, const std::string& options = "") {
  return detail::MetricChecks(component, std::move(make), options).all();
}

inline Report check(const std::string& component, const Factory<ImportanceMetric>& factory) {
  return check_variants(component, factory, check_metric);
}

}  // namespace espalier::testkit
