// SPDX-License-Identifier: Apache-2.0
#include "core/plugin/guarded.hpp"

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <exception>
#include <utility>

#include "core/base/error.hpp"

namespace espalier {
namespace {

class GuardedMetric final : public ImportanceMetric {
 public:
  GuardedMetric(std::unique_ptr<ImportanceMetric> inner, std::string context)
      : inner_(std::move(inner)), context_(std::move(context)) {}
  Needs needs(const AxisInfo& axis) const override {
    return in_plugin(context_, [&] { return inner_->needs(axis); });
  }
  void begin(const Site& site) override {
    in_plugin(context_, [&] { inner_->begin(site); });
  }
  void observe(const Observation& observation) override {
    in_plugin(context_, [&] { inner_->observe(observation); });
  }
  at::Tensor scores() const override {
    return in_plugin(context_, [&] { return inner_->scores(); });
  }
  std::vector<at::Tensor> state() const override {
    return in_plugin(context_, [&] { return inner_->state(); });
  }
  void restore(const std::vector<at::Tensor>& state) override {
    in_plugin(context_, [&] { inner_->restore(state); });
  }
  void merge(const std::vector<at::Tensor>& later) override {
    in_plugin(context_, [&] { inner_->merge(later); });
  }

 private:
  std::unique_ptr<ImportanceMetric> inner_;
  std::string context_;
};

class GuardedAxis final : public PruningAxis {
 public:
  GuardedAxis(std::unique_ptr<PruningAxis> inner, std::string context)
      : inner_(std::move(inner)), context_(std::move(context)) {}
  AxisInfo describe() const override {
    return in_plugin(context_, [&] { return inner_->describe(); });
  }
  std::int64_t extent(const ModelSpec& spec) const override {
    return in_plugin(context_, [&] { return inner_->extent(spec); });
  }
  std::int64_t step(const ModelSpec& spec) const override {
    return in_plugin(context_, [&] { return inner_->step(spec); });
  }
  Selection select(const ModelSpec& spec, const Scores& scores, std::int64_t keep) const override {
    return in_plugin(context_, [&] { return inner_->select(spec, scores, keep); });
  }
  ModelSpec shrink(const ModelSpec& spec, const Selection& selection) const override {
    return in_plugin(context_, [&] { return inner_->shrink(spec, selection); });
  }
  std::vector<Fold> folds(const ModelSpec& spec, const Scores& scores, const Selection& selection) const override {
    return in_plugin(context_, [&] { return inner_->folds(spec, scores, selection); });
  }

 private:
  std::unique_ptr<PruningAxis> inner_;
  std::string context_;
};

class GuardedLoss : public LogitLoss {
 public:
  GuardedLoss(std::unique_ptr<LogitLoss> inner, std::string context)
      : inner_(std::move(inner)), context_(std::move(context)) {}
  bool needs_teacher() const override {
    return in_plugin(context_, [&] { return inner_->needs_teacher(); });
  }
  at::Tensor forward(const LogitRows& rows) const override {
    return in_plugin(context_, [&] { return inner_->forward(rows); });
  }
  bool gradient(const LogitRows& rows, double scale, at::Tensor& loss, at::Tensor& gradient) const override {
    return in_plugin(context_, [&] { return inner_->gradient(rows, scale, loss, gradient); });
  }

 private:
  std::unique_ptr<LogitLoss> inner_;
  std::string context_;
};

class GuardedMixLoss final : public GuardedLoss, public KlCeMixLoss {
 public:
  GuardedMixLoss(std::unique_ptr<LogitLoss> inner, const KlCeMixLoss& as_mix, const std::string& context)
      : GuardedLoss(std::move(inner), context), mix_(in_plugin(context, [&] { return as_mix.mix(); })) {}
  KlCeMix mix() const override { return mix_; }

 private:
  KlCeMix mix_;
};

class GuardedFeatureLoss final : public FeatureLoss {
 public:
  GuardedFeatureLoss(std::unique_ptr<FeatureLoss> inner, std::string context)
      : inner_(std::move(inner)), context_(std::move(context)) {}
  FeaturePlan plan(const ModelSpec& student, const ModelSpec& teacher) const override {
    return in_plugin(context_, [&] { return inner_->plan(student, teacher); });
  }
  at::Tensor forward(const FeatureRows& rows) const override {
    return in_plugin(context_, [&] { return inner_->forward(rows); });
  }

 private:
  std::unique_ptr<FeatureLoss> inner_;
  std::string context_;
};

class GuardedScheduler final : public Scheduler {
 public:
  GuardedScheduler(std::unique_ptr<Scheduler> inner, std::string context)
      : inner_(std::move(inner)), context_(std::move(context)) {}
  double at(const Progress& progress) const override {
    return in_plugin(context_, [&] { return inner_->at(progress); });
  }

 private:
  std::unique_ptr<Scheduler> inner_;
  std::string context_;
};

}  // namespace

std::unique_ptr<ImportanceMetric> guard(std::unique_ptr<ImportanceMetric> inner, const std::string& context) {
  return std::make_unique<GuardedMetric>(std::move(inner), context);
}
std::unique_ptr<PruningAxis> guard(std::unique_ptr<PruningAxis> inner, const std::string& context) {
  return std::make_unique<GuardedAxis>(std::move(inner), context);
}
std::unique_ptr<LogitLoss> guard(std::unique_ptr<LogitLoss> inner, const std::string& context) {
  if (const auto* mix = dynamic_cast<const KlCeMixLoss*>(inner.get())) {
    return std::make_unique<GuardedMixLoss>(std::move(inner), *mix, context);
  }
  return std::make_unique<GuardedLoss>(std::move(inner), context);
}
std::unique_ptr<FeatureLoss> guard(std::unique_ptr<FeatureLoss> inner, const std::string& context) {
  return std::make_unique<GuardedFeatureLoss>(std::move(inner), context);
}
std::unique_ptr<Scheduler> guard(std::unique_ptr<Scheduler> inner, const std::string& context) {
  return std::make_unique<GuardedScheduler>(std::move(inner), context);
}

void rethrow_in(const std::string& context) {
  try {
    throw;
  } catch (const RecipeError& error) {
    throw RecipeError(context + ": " + error.what());
  } catch (const InternalError& error) {
    throw InternalError(context + ": " + error.what());
  } catch (const c10::Error& error) {
    throw Error(context + ": " + error.what_without_backtrace());  // LibTorch's what() carries a page of C++ frames
  } catch (const std::exception& error) {
    throw Error(context + ": " + error.what());
  } catch (...) {
    throw Error(context + ": threw something that is no std::exception");
  }
}

}  // namespace espalier
