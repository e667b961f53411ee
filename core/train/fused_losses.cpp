// SPDX-License-Identifier: Apache-2.0
#include "core/train/fused_losses.hpp"

#include <algorithm>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/TensorOperators.h>

#include "core/ops/kl_rows.hpp"

namespace espalier {

FusedLosses::FusedLosses(const std::vector<WeightedLoss>& losses) : losses_(losses.size()) {
  bool with_kl = false;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const auto* as_mix = dynamic_cast<const KlCeMixLoss*>(losses[i].loss.get());
    if (as_mix == nullptr) continue;
    const KlCeMix mix = as_mix->mix();
    if (mix.kl != 0.0 && with_kl && mix.temperature != temperature_) continue;
    if (mix.kl != 0.0) with_kl = true, temperature_ = mix.temperature;
    with_cross_entropy_ = with_cross_entropy_ || mix.cross_entropy != 0.0;
    kl_ += losses[i].weight * mix.kl;
    cross_entropy_ += losses[i].weight * mix.cross_entropy;
    mixes_.push_back({i, mix});
  }
}

bool FusedLosses::takes(std::size_t loss) const {
  return std::any_of(mixes_.begin(), mixes_.end(), [&](const Mix& mix) { return mix.loss == loss; });
}

void FusedLosses::run(const LogitRows& rows, double scale, const at::Tensor& gradient, at::Tensor& sums) const {
  KlRows pass{.temperature = temperature_,
              .kl_scale = scale * kl_,
              .ce_scale = scale * cross_entropy_,
              .student = rows.student,
              .teacher = rows.teacher.defined() ? rows.teacher : rows.student,
              .labels = {},
              .kl = at::empty({rows.student.size(0)}, rows.student.options()),
              .ce = {},
              .gradient = gradient};
  if (with_cross_entropy_) pass.labels = rows.labels, pass.ce = at::empty_like(pass.kl);
  kl_rows(pass);
  const at::Tensor kl = pass.kl.sum(at::kDouble);
  const at::Tensor ce = with_cross_entropy_ ? pass.ce.sum(at::kDouble) : kl;
  for (const Mix& mix : mixes_) {
    at::Tensor sum = sums[static_cast<std::int64_t>(mix.loss)];
    if (mix.of.kl != 0.0) sum.add_(kl, mix.of.kl);
    if (mix.of.cross_entropy != 0.0) sum.add_(ce, mix.of.cross_entropy);
  }
}

}  // namespace espalier
