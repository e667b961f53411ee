// SPDX-License-Identifier: Apache-2.0
#include "core/train/feature_terms.hpp"

#include <ATen/ATen.h>

#include "core/base/error.hpp"

namespace espalier {
namespace {

void check_layer(const std::string& name, const char* whose, const Feature& feature, const ModelSpec& spec) {
  const auto layers = static_cast<std::int64_t>(spec.layers.size());
  if (feature.layer >= -1 && feature.layer < layers) return;
  fail("loss '{}': a layer that the {} does not have; got {}; expected 0 to {}, or -1 for the embedding's output", name,
       whose, feature.layer, layers - 1);
}

void check_parameter(const std::string& name, const at::Tensor& tensor) {
  if (tensor.defined() && tensor.scalar_type() == at::kFloat && tensor.device().is_cpu()) return;
  fail("loss '{}': a parameter cannot be trained; got {}; expected a float32 tensor on the CPU", name,
       tensor.defined() ? fmt::format("{} on {}", c10::toString(tensor.scalar_type()), tensor.device().str())
                        : "an undefined tensor");
}

// (B, T, H) → the rows whose label counts, (rows, H) float32.
at::Tensor rows_of(const at::Tensor& feature, const at::Tensor& kept) {
  const at::Tensor rows = feature.flatten(0, 1);
  return (kept.defined() ? rows.index_select(0, kept) : rows).to(at::kFloat);
}

}  // namespace

FeaturePlan checked_plan(const std::string& name, const FeatureLoss& loss, const ModelSpec& student,
                         const ModelSpec& teacher) {
  FeaturePlan plan = loss.plan(student, teacher);
  if (plan.pairs.empty()) fail("loss '{}': it compares nothing; got no pair of layers; expected one or more", name);
  for (const FeaturePair& pair : plan.pairs) {
    check_layer(name, "student", pair.student, student);
    check_layer(name, "teacher", pair.teacher, teacher);
  }
  for (const at::Tensor& parameter : plan.parameters) check_parameter(name, parameter);
  return plan;
}

FeatureTerms::FeatureTerms(const std::vector<WeightedFeatureLoss>& losses, const ModelSpec& student,
                           const ModelSpec& teacher, at::Device device) {
  for (const WeightedFeatureLoss& loss : losses) {
    FeaturePlan plan = checked_plan(loss.name, *loss.loss, student, teacher);
    for (at::Tensor& parameter : plan.parameters) {
      parameter = parameter.detach().clone(at::MemoryFormat::Contiguous).to(device).requires_grad_();
    }
    terms_.push_back({&loss, std::move(plan)});
  }
}

std::vector<at::Tensor> FeatureTerms::parameters() const {
  std::vector<at::Tensor> all;
  for (const Term& term : terms_) all.insert(all.end(), term.plan.parameters.begin(), term.plan.parameters.end());
  return all;
}

std::vector<std::string> FeatureTerms::parameter_names() const {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < terms_.size(); ++i) {
    for (std::size_t k = 0; k < terms_[i].plan.parameters.size(); ++k) {
      names.push_back(fmt::format("feature_losses.{}.{}.{}", i, terms_[i].loss->name, k));
    }
  }
  return names;
}

Features FeatureTerms::wanted(Feature FeaturePair::*side) const {
  Features features;
  for (const Term& term : terms_) {
    for (const FeaturePair& pair : term.plan.pairs) features[pair.*side];
  }
  return features;
}

FeatureTerms::Values FeatureTerms::evaluate(const Features& student, const Features& teacher, const at::Tensor& kept,
                                            double scale) const {
  Values values;
  if (terms_.empty()) return values;
  std::vector<at::Tensor> sums;
  for (const Term& term : terms_) {
    at::Tensor sum;
    for (std::size_t i = 0; i < term.plan.pairs.size(); ++i) {
      const FeaturePair& pair = term.plan.pairs[i];
      const at::Tensor ours = rows_of(student.at(pair.student), kept), theirs = rows_of(teacher.at(pair.teacher), kept);
      const at::Tensor rows =
          term.loss->loss->forward({static_cast<std::int64_t>(i), ours, theirs, term.plan.parameters});
      if (!rows.defined() || rows.dim() != 1 || rows.size(0) != ours.size(0)) {
        fail("loss '{}': its value has a wrong shape; got {}; expected ({}), one number for each row", term.loss->name,
             rows.defined() ? fmt::format("({})", fmt::join(rows.sizes(), ", ")) : "nothing", ours.size(0));
      }
      sum = sum.defined() ? sum + rows.sum() : rows.sum();
    }
    sums.push_back(sum.detach().to(at::kDouble));
    const at::Tensor weighted = sum * (term.loss->weight * scale);
    values.total = values.total.defined() ? values.total + weighted : weighted;
  }
  values.losses = at::stack(sums).mul_(scale);
  return values;
}

}  // namespace espalier
