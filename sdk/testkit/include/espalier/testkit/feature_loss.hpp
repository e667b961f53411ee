// SPDX-License-Identifier: Apache-2.0
// What a loss on features promises.
#pragma once

#include <ATen/core/grad_mode.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "espalier/sdk/feature_loss.hpp"
#include "espalier/testkit/gradients.hpp"
#include "espalier/testkit/options.hpp"
#include "espalier/testkit/specs.hpp"

namespace espalier::testkit {

namespace detail {

// A student for a teacher.
struct Couple {
  ModelSpec student, teacher;
  std::string text;
};

inline std::vector<Couple> couples() {
  const ModelSpec teacher = small_spec("llama");
  ModelSpec narrow = teacher, shallow = teacher, both = teacher;
  narrow.hidden = 16;
  shallow.layers.pop_back();
  both.hidden = 16, both.layers.pop_back();
  return {{teacher, teacher, "student and teacher alike"},
          {narrow, teacher, "a student of hidden 16 for a teacher of 24"},
          {shallow, teacher, "a student of 2 layers for a teacher of 3"},
          {both, teacher, "a student of hidden 16 and 2 layers for a teacher of 24 and 3"}};
}

// Owns what FeatureRows refers to.
struct FeatureCase {
  std::int64_t pair = 0;
  at::Tensor student, teacher;
  std::vector<at::Tensor> parameters;
  std::string text;
  FeatureRows rows() const { return {pair, student, teacher, parameters}; }
};

class FeatureLossChecks {
 public:
  FeatureLossChecks(const std::string& component, Make<FeatureLoss> make, const std::string& options)
      : checks_(component, options), make_(std::move(make)) {}

  Report all() {
    const at::NoGradGuard no_grad;
    plan();
    parameters();
    value();
    gradient();
    rows();
    finite();
    deterministic();
    return checks_.finish();
  }

 private:
  struct Planned {
    Couple couple;
    FeaturePlan plan;
  };

  void plan() {
    checks_.run("feature_loss/plan", [&](Trial& trial) {
      std::string refusals;
      for (const Couple& couple : couples()) {
        trial.at(couple.text);
        try {
          const FeaturePlan plan = make_()->plan(couple.student, couple.teacher);
          trial.expect(!plan.pairs.empty(), "got no pair; expected one or more, or Error that says why not");
          for (const FeaturePair& pair : plan.pairs) {
            expect_layer(trial, pair.student, couple.student, "student");
            expect_layer(trial, pair.teacher, couple.teacher, "teacher");
          }
          planned_.push_back({couple, plan});
        } catch (const Error& error) {
          trial.expect(*error.what() != '\0', "refused without a text; expected Error that says why");
          refusals += concat(refusals.empty() ? "" : "; ", error.what());
        }
      }
      trial.expect(!planned_.empty(), concat("got no plan for any two models; expected one (", refusals, ")"));
    });
  }

  static void expect_layer(const Trial& trial, const Feature& feature, const ModelSpec& spec, const char* whose) {
    const auto layers = static_cast<std::int64_t>(spec.layers.size());
    trial.expect(
        feature.layer >= -1 && feature.layer < layers,
        concat("a layer that the ", whose, " does not have; got ", feature.layer, "; expected -1 to ", layers - 1));
  }

  void parameters() {
    checks_.run("feature_loss/parameters", [&](Trial& trial) {
      for (const Planned& one : planned_) {
        for (const at::Tensor& tensor : one.plan.parameters) {
          trial.at(one.couple.text);
          trial.expect(tensor.defined(), "a parameter is undefined; expected a tensor");
          trial.expect(tensor.scalar_type() == at::kFloat && tensor.is_cpu(),
                       concat("a parameter has the wrong type; got ", tensor.scalar_type(), " on ", tensor.device(),
                              "; expected Float on cpu"));
          trial.expect(all_finite(tensor), "a parameter is not finite");
        }
      }
      trial.skip("has none");
    });
  }

  static FeatureCase make_rows(const Planned& one, std::int64_t pair, std::int64_t rows, std::uint64_t seed) {
    FeatureCase made{
        pair,
        normal({rows, one.couple.student.hidden}, seed),
        normal({rows, one.couple.teacher.hidden}, seed + 1),
        {},
        concat(one.couple.text, ", pair ", pair, ", ", rows, rows == 1 ? " row" : " rows", ", seed ", seed)};
    for (const at::Tensor& tensor : one.plan.parameters) made.parameters.push_back(tensor.clone());
    return made;
  }

  // Calls use(case) for every plan and pair, with few rows and with more.
  template <class Use>
  void each(const std::vector<std::int64_t>& sizes, Use&& use) const {
    for (const std::int64_t rows : sizes) {
      for (const Planned& one : planned_) {
        const auto pairs = static_cast<std::int64_t>(one.plan.pairs.size());
        for (std::int64_t pair = 0; pair < pairs; ++pair) use(make_rows(one, pair, rows, 3));
      }
    }
  }

  void value() {
    checks_.run("feature_loss/value", [&](Trial& trial) {
      const auto loss = make_();
      each({1, 5}, [&](const FeatureCase& one) {
        trial.at(one.text);
        const at::Tensor got = loss->forward(one.rows());
        trial.expect(got.defined() && got.dim() == 1 && got.size(0) == one.student.size(0),
                     concat("forward() has the wrong shape; got ", got.defined() ? concat(got.sizes()) : "no tensor",
                            "; expected [", one.student.size(0), "]"));
        trial.expect(got.scalar_type() == at::kFloat,
                     concat("forward() has the wrong type; got ", got.scalar_type(), "; expected Float"));
      });
    });
  }

  void gradient() {
    checks_.run("feature_loss/gradient", [&](Trial& trial) {
      const auto loss = make_();
      each({1, 3}, [&](FeatureCase one) {
        trial.at(one.text);
        const FeatureCase given = one;
        const auto cast = [&](at::ScalarType dtype) {
          one.student = given.student.to(dtype, false, true), one.teacher = given.teacher.to(dtype, false, true);
          for (std::size_t i = 0; i < one.parameters.size(); ++i) {
            one.parameters[i] = given.parameters[i].to(dtype, false, true);
          }
        };
        const Precision precision = precision_of([&](at::ScalarType dtype) {
          cast(dtype);
          return loss->forward(one.rows());
        });
        cast(precision.dtype);
        const auto weighed = [&] {
          const at::Tensor losses = loss->forward(one.rows());
          return (losses * row_weights(losses)).sum();
        };
        std::vector<at::Tensor> inputs = {one.student};
        inputs.insert(inputs.end(), one.parameters.begin(), one.parameters.end());
        const std::vector<at::Tensor> got = autograd(trial, inputs, weighed);
        for (std::size_t i = 0; i < inputs.size(); ++i) {
          trial.same(got[i], finite_differences(inputs[i], precision.step, weighed), precision.tolerance,
                     concat("the gradient of ", i == 0 ? "the student's rows" : concat("parameter ", i - 1),
                            " is not that of finite differences"));
        }
      });
    });
  }

  void rows() {
    checks_.run("feature_loss/rows", [&](Trial& trial) {
      const auto loss = make_();
      each({2, 7}, [&](const FeatureCase& one) {
        const std::int64_t count = one.student.size(0);
        const at::Tensor all = at::arange(count, at::kLong), whole = loss->forward(one.rows());
        for (const auto& [index, how] :
             {std::pair{all.narrow(0, 0, 1), "the first alone"}, std::pair{all.flip(0), "in reverse"},
              std::pair{all.narrow(0, 1, count - 1), "all but the first"}}) {
          trial.at(concat(one.text, ", ", how));
          FeatureCase part = one;
          part.student = one.student.index_select(0, index), part.teacher = one.teacher.index_select(0, index);
          trial.same(loss->forward(part.rows()), whole.index_select(0, index), 1e-5,
                     "a row's loss depends on the rows beside it");
        }
      });
    });
  }

  void finite() {
    checks_.run("feature_loss/finite", [&](Trial& trial) {
      const auto loss = make_();
      const auto try_with = [&](const FeatureCase& plain, double student, double teacher, const char* how) {
        FeatureCase one = plain;
        one.student = plain.student * student, one.teacher = plain.teacher * teacher;
        trial.at(concat(one.text, ", ", how));
        std::vector<at::Tensor> inputs = {one.student};
        inputs.insert(inputs.end(), one.parameters.begin(), one.parameters.end());
        const at::Tensor got = loss->forward(one.rows());
        trial.expect(all_finite(got), concat("forward() is not finite; got ", brief(got)));
        for (const at::Tensor& gradient : autograd(trial, inputs, [&] { return loss->forward(one.rows()).sum(); })) {
          trial.expect(all_finite(gradient), concat("the gradient of forward() is not finite; got ", brief(gradient)));
        }
      };
      each({2}, [&](const FeatureCase& one) {
        try_with(one, 0.0, 1.0, "the student's rows zero");
        try_with(one, 1.0, 0.0, "the teacher's rows zero");
        try_with(one, 0.0, 0.0, "all rows zero");
        try_with(one, 1e4, 1.0, "the student's rows times 1e4");
        try_with(one, 1e4, 1e4, "all rows times 1e4");
      });
    });
  }

  void deterministic() {
    checks_.run("feature_loss/deterministic", [&](Trial& trial) {
      const auto loss = make_();
      for (const Planned& one : planned_) {
        trial.at(concat(one.couple.text, ", planned again"));
        expect_same(trial, loss->plan(one.couple.student, one.couple.teacher), one.plan);
        expect_same(trial, loss->plan(one.couple.student, one.couple.teacher), one.plan);
      }
      each({3}, [&](const FeatureCase& one) {
        trial.at(concat(one.text, ", before and after other rows"));
        const at::Tensor first = loss->forward(one.rows()).clone();
        FeatureCase other = one;
        other.student = one.student * 3.0 + 1.0;
        loss->forward(other.rows());
        trial.same(loss->forward(one.rows()), first, 0.0, "the same rows have another loss later");
        trial.same(make_()->forward(one.rows()), first, 0.0, "another instance has another loss");
      });
    });
  }

  static void expect_same(const Trial& trial, const FeaturePlan& got, const FeaturePlan& expected) {
    const bool counts =
        got.pairs.size() == expected.pairs.size() && got.parameters.size() == expected.parameters.size();
    trial.expect(counts, "the same models have another plan later; expected the same pairs and parameters");
    for (std::size_t i = 0; i < got.pairs.size(); ++i) {
      trial.expect(
          got.pairs[i].student == expected.pairs[i].student && got.pairs[i].teacher == expected.pairs[i].teacher,
          concat("the same models have another pair ", i, " later"));
    }
    for (std::size_t i = 0; i < got.parameters.size(); ++i) {
      trial.same(got.parameters[i], expected.parameters[i], 0.0,
                 concat("the same models have another parameter ", i, " later"));
    }
  }

  Checklist checks_;
  Make<FeatureLoss> make_;
  std::vector<Planned> planned_;
};

}  // namespace detail

inline Report check_feature_loss(const std::string& component, Make<FeatureLoss> make,
                                 const std::string& options = "") {
  return detail::FeatureLossChecks(component, std::move(make), options).all();
}

inline Report check(const std::string& component, const Factory<FeatureLoss>& factory) {
  return check_variants(component, factory, check_feature_loss);
}

}  // namespace espalier::testkit
