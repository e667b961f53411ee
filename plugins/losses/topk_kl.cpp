// SPDX-License-Identifier: Apache-2.0
#include "topk_kl.hpp"

#include <algorithm>
#include <limits>
#include <tuple>

#include <ATen/ops/cat.h>
#include <ATen/ops/expm1.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/where.h>
#include <ATen/TensorOperators.h>

#include "kl.hpp"

namespace espalier::plugins {
namespace {

// log of the mass outside `columns`, (rows, 1); where nothing is left, kLogFloor.
at::Tensor log_rest(const at::Tensor& log_x, const at::Tensor& columns) {
  const at::Tensor rest = log_x.scatter(-1, columns, -std::numeric_limits<double>::infinity());
  const at::Tensor most = rest.detach().amax(-1, true).clamp_min(kLogFloor);
  // The largest term is 1: only an empty sum is below.
  return (rest - most).exp().sum(-1, true).clamp_min(1.0).log() + most;
}

}  // namespace

at::Tensor TopkKlLoss::columns(const at::Tensor& log_p) const {
  const std::int64_t k = std::min(k_, log_p.size(-1));
  return std::get<1>(at::topk(log_p, k, -1, /*largest=*/true, /*sorted=*/false));
}

at::Tensor TopkKlLoss::classes(const at::Tensor& log_x, const at::Tensor& columns) const {
  const at::Tensor kept = log_x.gather(-1, columns);
  return bucket_ ? at::cat({kept, log_rest(log_x, columns)}, -1) : at::log_softmax(kept, -1);
}

at::Tensor TopkKlLoss::value(const at::Tensor& log_p, const at::Tensor& log_q) const {
  const at::Tensor chosen = columns(log_p);
  return forward_kl(classes(log_p, chosen), classes(log_q, chosen));
}

at::Tensor TopkKlLoss::slope(at::Tensor& log_p, at::Tensor& log_q) const {
  const at::Tensor chosen = columns(log_p);
  at::Tensor p = classes(log_p, chosen), q = classes(log_q, chosen);
  if (!bucket_) {
    at::Tensor loss = forward_kl_slope(p, q);
    log_q.zero_().scatter_(-1, chosen, q);
    return loss;
  }
  // q (1 − P/Q) from d = log P − log Q: q e^d stays below 1 even where Q is nearly 0, and equal rests give exactly 0.
  const at::Tensor d = (p - q).narrow(-1, chosen.size(-1), 1);
  const at::Tensor share = at::expm1(-d.abs()).mul_(at::where(d.gt(0), 1.0, -1.0));
  at::Tensor loss = forward_kl_slope(p, q);
  log_q.add_(d.clamp_min(0)).exp_().mul_(share).scatter_(-1, chosen, q.narrow(-1, 0, chosen.size(-1)));
  return loss;
}

}  // namespace espalier::plugins
