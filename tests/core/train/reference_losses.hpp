// SPDX-License-Identifier: Apache-2.0
// Small losses for tests, written for clarity. Each comes with a closed form and without.
#pragma once

#include <memory>

#include <ATen/ATen.h>

#include "espalier/sdk/feature_loss.hpp"
#include "espalier/sdk/loss.hpp"

namespace espalier::reference {

// T² · KL(softmax(teacher / T) ‖ softmax(student / T))
class Kl : public LogitLoss {
 public:
  explicit Kl(double temperature = 1.0, bool closed_form = true) : t_(temperature), closed_form_(closed_form) {}
  bool needs_teacher() const override { return true; }
  at::Tensor forward(const LogitRows& rows) const override {
    const at::Tensor log_q = at::log_softmax(rows.student / t_, -1);
    const at::Tensor log_p = at::log_softmax(rows.teacher / t_, -1);
    return (log_p.exp() * (log_p - log_q)).sum(-1) * (t_ * t_);
  }
  bool gradient(const LogitRows& rows, double scale, at::Tensor& loss, at::Tensor& gradient) const override {
    if (!closed_form_) return false;
    const at::Tensor log_q = at::log_softmax(rows.student / t_, -1);
    const at::Tensor log_p = at::log_softmax(rows.teacher / t_, -1);
    const at::Tensor p = log_p.exp();
    loss.copy_((p * (log_p - log_q)).sum(-1) * (t_ * t_));
    gradient.add_(log_q.exp() - p, scale * t_);
    return true;
  }

 private:
  double t_;
  bool closed_form_;
};

class CrossEntropy : public LogitLoss {
 public:
  explicit CrossEntropy(bool closed_form = true) : closed_form_(closed_form) {}
  bool needs_teacher() const override { return false; }
  at::Tensor forward(const LogitRows& rows) const override {
    return -at::log_softmax(rows.student, -1).gather(1, rows.labels.unsqueeze(1)).squeeze(1);
  }
  bool gradient(const LogitRows& rows, double scale, at::Tensor& loss, at::Tensor& gradient) const override {
    if (!closed_form_) return false;
    const at::Tensor log_q = at::log_softmax(rows.student, -1);
    const at::Tensor labels = rows.labels.unsqueeze(1);
    loss.copy_(-log_q.gather(1, labels).squeeze(1));
    gradient.add_(log_q.exp(), scale);
    gradient.scatter_add_(1, labels, at::full(labels.sizes(), -scale, gradient.options()));
    return true;
  }

 private:
  bool closed_form_;
};

// Mean squared difference over channels, after a projection from the student's width to the teacher's that all pairs
// share.
class ProjectedMse : public FeatureLoss {
 public:
  explicit ProjectedMse(std::vector<FeaturePair> pairs) : pairs_(std::move(pairs)) {}
  FeaturePlan plan(const ModelSpec& student, const ModelSpec& teacher) const override {
    const at::Tensor ramp = at::arange(teacher.hidden * student.hidden, at::kFloat).view({teacher.hidden, -1});
    return {pairs_, {(ramp * 0.7).sin() * 0.2}};
  }
  at::Tensor forward(const FeatureRows& rows) const override {
    return (at::linear(rows.student, rows.parameters.at(0)) - rows.teacher).square().mean(-1);
  }

 private:
  std::vector<FeaturePair> pairs_;
};

}  // namespace espalier::reference
