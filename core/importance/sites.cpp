// SPDX-License-Identifier: Apache-2.0
#include "core/importance/sites.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>

#include "core/base/error.hpp"
#include "core/base/random.hpp"

namespace espalier {
namespace {

std::uint64_t hash_of(const std::string& text) {
  std::uint64_t hash = text.size();
  for (const char c : text) hash = mix(hash, static_cast<unsigned char>(c));
  return hash;
}

}  // namespace

Sites::Sites(const ScoreJob& job, const ModelSpec& spec, std::uint64_t seed)
    : job_(job), spec_(spec), seed_(seed), needs_(needs_of(job)) {
  if (needs_.runs && job.axis.one_run) run_ = job.run;
  const std::int64_t all = run_ > 1 ? units_in(spec, job.axis, -1) : 1;
  if (run_ < 1 || run_ > all) fail("axis '{}': no such runs; got {} of {} units", job.axis.name, run_, all);
  if (sees_tap(needs_, job.axis)) return;  // instances come with the places where the tap is passed
  // The other kinds see a shared axis in one place.
  const std::int64_t layers = static_cast<std::int64_t>(spec.layers.size());
  for (std::int64_t layer = job.axis.shared ? -1 : 0; layer < (job.axis.shared ? 0 : layers); ++layer) {
    if (units(layer) > 0) at(layer, 0, 1);
  }
}

std::int64_t Sites::units(std::int64_t layer) const { return units_in(spec_, job_.axis, layer) - run_ + 1; }

ImportanceMetric& Sites::at(std::int64_t layer, std::int64_t occurrence, std::int64_t channels) {
  std::unique_ptr<ImportanceMetric>& metric = metrics_[{layer, occurrence}];
  if (!metric) {
    metric = job_.make_metric();
    const std::uint64_t place = static_cast<std::uint64_t>(layer * 1024 + occurrence);
    metric->begin({.axis = job_.axis.name,
                   .layer = layer,
                   .units = units(layer),
                   .channels = channels,
                   .seed = mix(mix(seed_, hash_of(job_.axis.name)), place),
                   .run = run_});
  }
  return *metric;
}

at::Tensor Sites::checked(const ImportanceMetric& metric, std::int64_t layer) const {
  const std::string place =
      layer < 0 ? fmt::format("axis '{}'", job_.axis.name) : fmt::format("axis '{}', layer {}", job_.axis.name, layer);
  const auto broken = [&](const std::string& what, const std::string& got, const std::string& expected) {
    fail("metric '{}' (plugin {}): scores of {} {}; got {}; expected {}", job_.metric, job_.plugin, place, what, got,
         expected);
  };
  const std::int64_t units = this->units(layer);
  at::Tensor scores = metric.scores();
  if (!scores.defined()) broken("are missing", "no tensor", fmt::format("[{}]", units));
  if (scores.dim() != 1 || scores.size(0) != units)
    broken("have the wrong shape", concat(scores.sizes()), fmt::format("[{}]", units));
  if (scores.scalar_type() != at::kFloat || !scores.is_cpu()) {
    broken("have the wrong type", concat(scores.scalar_type(), " on ", scores.device()), "Float on cpu");
  }
  const at::Tensor bad = at::isfinite(scores).logical_not();
  if (bad.any().item<bool>()) {
    const std::int64_t unit = bad.to(at::kByte).argmax().item<std::int64_t>();
    broken("are not all finite", fmt::format("{} for unit {}", scores[unit].item<float>(), unit), "a finite number");
  }
  return scores;
}

at::Tensor Sites::sum_of(std::int64_t layer) {
  at::Tensor sum;
  for (const auto& [place, metric] : metrics_) {
    if (layer >= 0 && place.first != layer) continue;
    const at::Tensor scores = checked(*metric, place.first).to(at::kDouble);
    sum = sum.defined() ? sum.add_(scores) : scores;
  }
  if (!sum.defined()) {
    fail("axis '{}': nothing to see in {}; got no pass of tap '{}'", job_.axis.name,
         layer < 0 ? "the model" : fmt::format("layer {}", layer), name_of(needs_.tap));
  }
  return sum.to(at::kFloat);
}

Scores Sites::finish() {
  if (job_.axis.shared) return {{sum_of(-1)}};
  Scores scores;
  for (std::size_t l = 0; l < spec_.layers.size(); ++l) {
    const auto layer = static_cast<std::int64_t>(l);
    const bool empty = units(layer) == 0;
    scores.per_layer.push_back(empty ? at::empty({0}, at::kFloat) : sum_of(layer));
  }
  return scores;
}

}  // namespace espalier
