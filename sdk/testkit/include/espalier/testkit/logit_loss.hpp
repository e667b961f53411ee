// SPDX-License-Identifier: Apache-2.0
// What a loss on logits promises.
#pragma once

#include <ATen/core/grad_mode.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "espalier/sdk/loss.hpp"
#include "espalier/testkit/gradients.hpp"
#include "espalier/testkit/options.hpp"

namespace espalier::testkit {

// Two orders of summing a thousand float32 numbers differ by about 1e-6 of the sum.
inline constexpr double kLossTolerance = 1e-5;
// Two formulas for one gradient: softmaxes that are subtracted lose a digit or two.
inline constexpr double kGradientTolerance = 1e-4;

namespace detail {

// Owns what LogitRows refers to.
struct LogitCase {
  at::Tensor student, teacher, labels;
  std::string text;
  LogitRows rows() const { return {student, teacher, labels}; }
};

inline LogitCase make_logits(std::int64_t rows, std::int64_t vocab, std::uint64_t seed) {
  at::Tensor labels = at::arange(rows, at::kLong).mul(7).remainder(vocab);
  return {normal({rows, vocab}, seed) * 2.0, normal({rows, vocab}, seed + 1) * 2.0, std::move(labels),
          concat(rows, rows == 1 ? " row" : " rows", ", vocabulary ", vocab, ", seed ", seed)};
}

inline LogitCase rows_of(const LogitCase& all, const at::Tensor& index) {
  return {all.student.index_select(0, index), all.teacher.index_select(0, index), all.labels.index_select(0, index),
          ""};
}

inline std::vector<LogitCase> logit_cases() {
  return {make_logits(1, 2, 3), make_logits(3, 5, 3), make_logits(70, 1031, 3)};
}

class LogitLossChecks {
 public:
  LogitLossChecks(const std::string& component, Make<LogitLoss> make, const std::string& options)
      : checks_(component, options), make_(std::move(make)) {}

  Report all() {
    const at::NoGradGuard no_grad;
    value();
    teacher();
    gradient();
    closed_form();
    adds();
    scale();
    mix();
    rows();
    finite();
    deterministic();
    return checks_.finish();
  }

 private:
  struct Closed {
    bool given = false;
    at::Tensor loss, gradient;
  };

  static Closed closed(const LogitLoss& loss, const LogitCase& one, double scale = 1.0, double before = 0.0) {
    Closed result;
    result.loss = at::full({one.student.size(0)}, 123.0, at::kFloat);  // what lies in a buffer that is used again
    result.gradient = at::full_like(one.student, before);
    result.given = loss.gradient(one.rows(), scale, result.loss, result.gradient);
    return result;
  }

  void value() {
    checks_.run("loss/value", [&](Trial& trial) {
      const auto loss = make_();
      for (const LogitCase& one : logit_cases()) {
        trial.at(one.text);
        const at::Tensor got = loss->forward(one.rows());
        trial.expect(got.defined() && got.dim() == 1 && got.size(0) == one.student.size(0),
                     concat("forward() has the wrong shape; got ", got.defined() ? concat(got.sizes()) : "no tensor",
                            "; expected [", one.student.size(0), "]"));
        trial.expect(got.scalar_type() == at::kFloat,
                     concat("forward() has the wrong type; got ", got.scalar_type(), "; expected Float"));
      }
      if (!loss->needs_teacher()) return;
      LogitCase equal = make_logits(3, 5, 3);
      equal.teacher = equal.student;
      const bool zero = loss->forward(equal.rows()).abs().max().item<double>() < 1e-6;
      trial.note(concat("zero when student and teacher are equal: ", zero ? "yes" : "no"));
    });
  }

  void teacher() {
    checks_.run("loss/teacher", [&](Trial& trial) {
      const auto loss = make_();
      if (loss->needs_teacher()) trial.skip("needs a teacher");
      LogitCase one = make_logits(3, 5, 3);
      one.teacher = at::Tensor();
      trial.at(one.text + ", no teacher");
      trial.expect(all_finite(loss->forward(one.rows())), "forward() is not finite without a teacher");
      closed(*loss, one);
    });
  }

  void gradient() {
    checks_.run("loss/gradient", [&](Trial& trial) {
      const auto loss = make_();
      for (LogitCase one : {make_logits(1, 2, 3), make_logits(3, 5, 3)}) {
        trial.at(one.text);
        const at::Tensor student = one.student, teacher = one.teacher;
        const auto cast = [&](at::ScalarType dtype) {
          one.student = student.to(dtype, false, true), one.teacher = teacher.to(dtype, false, true);
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
        const at::Tensor got = autograd(trial, {one.student}, weighed).front();
        trial.same(got, finite_differences(one.student, precision.step, weighed), precision.tolerance,
                   "the gradient of forward() is not that of finite differences");
      }
    });
  }

  // Calls use(loss, case, closed form at scale 1), or skips.
  template <class Use>
  void each_closed(Trial& trial, Use&& use) const {
    const auto loss = make_();
    for (const LogitCase& one : logit_cases()) {
      trial.about(one.text);
      const Closed plain = closed(*loss, one);
      if (!plain.given) trial.skip("has no closed form");
      trial.at(one.text);
      use(*loss, one, plain);
    }
  }

  void closed_form() {
    checks_.run("loss/closed-form", [&](Trial& trial) {
      each_closed(trial, [&](const LogitLoss& loss, const LogitCase& one, const Closed& plain) {
        LogitCase leaf = one;
        leaf.student = one.student.clone();
        trial.same(plain.loss, loss.forward(one.rows()), kGradientTolerance,
                   "gradient() writes other losses than forward()");
        const at::Tensor expected =
            autograd(trial, {leaf.student}, [&] { return loss.forward(leaf.rows()).sum(); }).front();
        trial.same(plain.gradient, expected, kGradientTolerance, "gradient() is not the gradient of forward()");
      });
    });
  }

  void adds() {
    checks_.run("loss/adds", [&](Trial& trial) {
      each_closed(trial, [&](const LogitLoss& loss, const LogitCase& one, const Closed& plain) {
        trial.at(one.text + ", gradient filled with 2");
        trial.same(closed(loss, one, 1.0, 2.0).gradient, plain.gradient + 2.0, kLossTolerance,
                   "gradient() does not add to what was there");
      });
    });
  }

  void scale() {
    checks_.run("loss/scale", [&](Trial& trial) {
      each_closed(trial, [&](const LogitLoss& loss, const LogitCase& one, const Closed& plain) {
        trial.at(one.text + ", scale 0.25");
        const Closed quarter = closed(loss, one, 0.25);
        trial.same(quarter.gradient, plain.gradient * 0.25, kLossTolerance, "gradient() does not follow `scale`");
        trial.same(quarter.loss, plain.loss, kLossTolerance, "the losses depend on `scale`");
      });
    });
  }

  // The mix as its formula says, in float64.
  static at::Tensor mixed(const KlCeMix& mix, const LogitCase& one) {
    const at::Tensor student = one.student.to(at::kDouble);
    at::Tensor sum = at::zeros({student.size(0)}, at::kDouble);
    if (mix.kl != 0.0) {
      const at::Tensor log_p = at::log_softmax(one.teacher.to(at::kDouble) / mix.temperature, -1);
      const at::Tensor log_q = at::log_softmax(student / mix.temperature, -1);
      sum = sum + mix.kl * (log_p.exp() * (log_p - log_q)).sum(-1);
    }
    const at::Tensor picked = at::log_softmax(student, -1).gather(-1, one.labels.unsqueeze(-1)).squeeze(-1);
    return sum - mix.cross_entropy * picked;
  }

  void mix() {
    checks_.run("loss/mix", [&](Trial& trial) {
      const auto loss = make_();
      const auto* as_mix = dynamic_cast<const KlCeMixLoss*>(loss.get());
      if (as_mix == nullptr) trial.skip("is no mix of forward KL and cross entropy");
      const KlCeMix mix = as_mix->mix();
      trial.expect(mix.temperature > 0.0, concat("mix() has no temperature; got ", mix.temperature));
      trial.expect(loss->needs_teacher() == (mix.kl != 0.0), "mix() and needs_teacher() disagree");
      for (const LogitCase& one : logit_cases()) {
        trial.at(one.text);
        trial.same(loss->forward(one.rows()), mixed(mix, one).to(at::kFloat), kGradientTolerance,
                   "mix() is not what forward() computes");
      }
    });
  }

  void rows() {
    checks_.run("loss/rows", [&](Trial& trial) {
      const auto loss = make_();
      for (const LogitCase& one : {make_logits(2, 2, 5), make_logits(6, 5, 5), make_logits(70, 1031, 5)}) {
        const std::int64_t count = one.student.size(0);
        const at::Tensor all = at::arange(count, at::kLong);
        for (const auto& [index, how] :
             {std::pair{all.narrow(0, 0, 1), "the first alone"}, std::pair{all.flip(0), "in reverse"},
              std::pair{all.narrow(0, 1, count - 1), "all but the first"}}) {
          trial.at(concat(one.text, ", ", how));
          const LogitCase part = rows_of(one, index);
          const char* what = "a row's loss depends on the rows beside it";
          trial.same(loss->forward(part.rows()), loss->forward(one.rows()).index_select(0, index), kLossTolerance,
                     what);
          const Closed whole = closed(*loss, one), some = closed(*loss, part);
          if (!whole.given) continue;
          trial.same(some.loss, whole.loss.index_select(0, index), kLossTolerance, what);
          trial.same(some.gradient, whole.gradient.index_select(0, index), kGradientTolerance,
                     "a row's gradient depends on the rows beside it");
        }
      }
    });
  }

  static std::vector<LogitCase> extremes() {
    const LogitCase plain = make_logits(4, 6, 9);
    at::Tensor large = at::full({4, 6}, -1e4), one_hot = at::zeros({4, 6});
    large.slice(1, 0, 6, 2).fill_(1e4);
    one_hot.select(1, 2).fill_(1e4);
    const auto with = [&](const at::Tensor& student, const at::Tensor& teacher, const char* text) {
      return LogitCase{student.clone(), teacher.clone(), plain.labels, std::string("4 rows, vocabulary 6, ") + text};
    };
    return {with(large, plain.teacher, "the student's logits +-1e4"),
            with(plain.student, large, "the teacher's logits +-1e4"),
            with(large, large, "both sides' logits the same +-1e4"),
            with(large, -large, "both sides' logits +-1e4, opposite"),
            with(one_hot, plain.teacher, "the student one-hot"),
            with(plain.student, one_hot, "the teacher one-hot"),
            with(one_hot, one_hot, "both one-hot, the same"),
            with(plain.student, plain.student, "both sides equal")};
  }

  void finite() {
    checks_.run("loss/finite", [&](Trial& trial) {
      const auto loss = make_();
      for (const LogitCase& one : extremes()) {
        trial.at(one.text);
        const auto expect_finite = [&](const at::Tensor& got, const char* which) {
          trial.expect(all_finite(got), concat(which, " is not finite; got ", brief(got)));
        };
        expect_finite(loss->forward(one.rows()), "forward()");
        const Closed plain = closed(*loss, one);
        if (plain.given) {
          expect_finite(plain.loss, "the loss of gradient()");
          expect_finite(plain.gradient, "gradient()");
        } else {
          expect_finite(autograd(trial, {one.student}, [&] { return loss->forward(one.rows()).sum(); }).front(),
                        "the gradient of forward()");
        }
      }
    });
  }

  void deterministic() {
    checks_.run("loss/deterministic", [&](Trial& trial) {
      const auto loss = make_();
      for (const LogitCase& one : logit_cases()) {
        trial.at(concat(one.text, ", before and after other rows"));
        const at::Tensor first = loss->forward(one.rows()).clone();
        const Closed closed_first = closed(*loss, one);
        const LogitCase other = make_logits(4, 7, 11);
        loss->forward(other.rows());
        closed(*loss, other);
        trial.same(loss->forward(one.rows()), first, 0.0, "the same rows have another loss later");
        trial.same(closed(*loss, one).gradient, closed_first.gradient, 0.0,
                   "the same rows have another gradient later");
        trial.same(make_()->forward(one.rows()), first, 0.0, "another instance has another loss");
      }
    });
  }

  Checklist checks_;
  Make<LogitLoss> make_;
};

}  // namespace detail

inline Report check_logit_loss(const std::string& component, Make<LogitLoss> make, const std::string& options = "") {
  return detail::LogitLossChecks(component, std::move(make), options).all();
}

inline Report check(const std::string& component, const Factory<LogitLoss>& factory) {
  return check_variants(component, factory, check_logit_loss);
}

}  // namespace espalier::testkit
