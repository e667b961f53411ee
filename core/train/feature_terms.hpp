// SPDX-License-Identifier: Apache-2.0
// Losses on hidden states, as terms of a training step.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/forward/model.hpp"
#include "espalier/sdk/feature_loss.hpp"

namespace espalier {

struct WeightedFeatureLoss {
  std::string name;
  double weight = 1.0;
  std::unique_ptr<FeatureLoss> loss;
};

// What a loss plans for two models. Throws Error when it asks for a layer that a model does not have, compares nothing,
// or brings a parameter that cannot be trained; what the loss itself throws passes through.
FeaturePlan checked_plan(const std::string& name, const FeatureLoss& loss, const ModelSpec& student,
                         const ModelSpec& teacher);

// The plans of all feature losses of a job, and their own parameters.
class FeatureTerms {
 public:
  // Throws what checked_plan throws.
  FeatureTerms(const std::vector<WeightedFeatureLoss>& losses, const ModelSpec& student, const ModelSpec& teacher,
               at::Device device);

  // The losses' own tensors, trained with the student: float32 leaves on the device, and a name for each.
  std::vector<at::Tensor> parameters() const;
  std::vector<std::string> parameter_names() const;

  // What to keep from a pass through each model: the keys are set.
  Features wanted_of_student() const { return wanted(&FeaturePair::student); }
  Features wanted_of_teacher() const { return wanted(&FeaturePair::teacher); }

  struct Values {
    at::Tensor total;   // Σ over losses of weight × loss, to differentiate
    at::Tensor losses;  // (losses) float64 on the device: of each, unweighted; both undefined without losses
  };
  // Features (B, T, H); `kept`: int64 indices of the B·T rows that count, undefined for all. `scale`: 1 / unmasked
  // tokens of the global batch.
  Values evaluate(const Features& student, const Features& teacher, const at::Tensor& kept, double scale) const;

 private:
  struct Term {
    const WeightedFeatureLoss* loss;
    FeaturePlan plan;
  };
  Features wanted(Feature FeaturePair::*side) const;

  std::vector<Term> terms_;
};

}  // namespace espalier
