// SPDX-License-Identifier: Apache-2.0
// A metric that keeps what it is shown.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "tests/core/importance/tiny.hpp"

namespace espalier::testing {

struct Shown {
  Site site;
  std::vector<at::Tensor> inputs, outputs, gradients, readers;
  std::vector<std::int64_t> layers, units;
  bool readers_first = true, in_grad_mode = false;

  // All samples of one layer, or of the only one.
  at::Tensor all(const std::vector<at::Tensor>& parts, std::int64_t layer = -1) const {
    std::vector<at::Tensor> chosen;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (layer < 0 || layers[i] == layer) chosen.push_back(parts[i]);
    }
    return chosen.empty() ? at::Tensor() : at::cat(chosen);
  }
};

// One entry for each instance that was begun, in that order.
using Album = std::vector<std::shared_ptr<Shown>>;

class Collector final : public ImportanceMetric {
 public:
  Collector(Album& album, Needs wanted) : album_(album), needs_(std::move(wanted)) {}
  Needs needs(const AxisInfo&) const override { return needs_; }
  void begin(const Site& site) override {
    shown_ = std::make_shared<Shown>();
    shown_->site = site;
    album_.push_back(shown_);
  }
  void observe(const Observation& observation) override {
    shown_->in_grad_mode = shown_->in_grad_mode || at::GradMode::is_enabled();
    if (observation.readers.defined()) {
      shown_->readers_first = shown_->readers_first && shown_->inputs.empty() && !observation.input.defined();
      shown_->readers.push_back(observation.readers.clone());
      return;
    }
    shown_->layers.push_back(observation.layer), shown_->units.push_back(observation.unit);
    shown_->inputs.push_back(observation.input.clone());
    if (observation.output.defined()) shown_->outputs.push_back(observation.output.clone());
    if (observation.gradient.defined()) shown_->gradients.push_back(observation.gradient.clone());
  }
  at::Tensor scores() const override { return at::zeros({shown_->site.units}); }
  std::vector<at::Tensor> state() const override { return {}; }
  void restore(const std::vector<at::Tensor>&) override {}
  void merge(const std::vector<at::Tensor>&) override {}

 private:
  Album& album_;
  Needs needs_;
  std::shared_ptr<Shown> shown_;
};

inline ScoreJob collecting(Album& album, const AxisInfo& axis, const Needs& needs) {
  ScoreJob job;
  job.axis = axis, job.metric = "collector", job.plugin = "test 1.0";
  job.options = std::to_string(reinterpret_cast<std::uintptr_t>(&album));  // no two albums share a job
  job.make_metric = [&album, needs] { return std::make_unique<Collector>(album, needs); };
  return job;
}

}  // namespace espalier::testing
