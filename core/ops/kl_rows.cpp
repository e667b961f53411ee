// SPDX-License-Identifier: Apache-2.0
#include "core/ops/kl_rows.hpp"

#include <ATen/ops/log_softmax.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include "core/base/error.hpp"
#include "core/ops/device_kernels.hpp"

namespace espalier {
namespace {

constexpr double kFloor = -1e30;  // in place of −inf, so that 0·(−inf − −inf) is 0

// The reference, and the way without kernels: whole temporaries of (rows, vocab).
void by_tensors(const KlRows& rows) {
  const at::ScalarType precision = rows.student.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor student = rows.student.to(precision);
  at::Tensor log_p = at::log_softmax(rows.teacher.to(precision) / rows.temperature, -1).clamp_min(kFloor);
  at::Tensor log_q = at::log_softmax(student / rows.temperature, -1).clamp_min(kFloor);
  at::Tensor gradient;
  const at::Tensor p = log_p.exp();
  rows.kl.copy_((p * (log_p - log_q)).sum(-1));
  if (rows.gradient.defined()) gradient = log_q.exp().sub_(p).mul_(rows.kl_scale / rows.temperature);
  if (rows.ce.defined()) {
    at::Tensor log_s = at::log_softmax(student, -1);
    const at::Tensor labels = rows.labels.unsqueeze(-1), picked = log_s.gather(-1, labels);
    rows.ce.copy_(picked.squeeze(-1).neg());
    // The label's own entry is s − 1: from expm1, which keeps its digits where s is almost 1.
    if (gradient.defined()) gradient.add_(log_s.exp_().scatter_(-1, labels, picked.expm1()), rows.ce_scale);
  }
  if (!gradient.defined()) return;
  rows.accumulate ? rows.gradient.copy_(gradient.add_(rows.gradient)) : rows.gradient.copy_(gradient);
}

}  // namespace

void kl_rows(const KlRows& rows) {
  const at::NoGradGuard no_grad;
  ESPALIER_CHECK(rows.student.dim() == 2 && rows.student.sizes() == rows.teacher.sizes() &&
                     rows.student.scalar_type() == rows.teacher.scalar_type(),
                 "logits ", rows.student.sizes(), " and ", rows.teacher.sizes());
  ESPALIER_CHECK(
      !rows.gradient.defined() || (rows.gradient.sizes() == rows.student.sizes() && rows.gradient.is_contiguous()),
      "gradient");
  ESPALIER_CHECK(rows.kl.defined() && rows.kl.is_contiguous() && rows.ce.defined() == rows.labels.defined(), "outputs");
  const DeviceKernels* kernels = rows.student.scalar_type() == at::kFloat ? device_kernels(rows.student) : nullptr;
  if (kernels == nullptr) return by_tensors(rows);
  KlRows dense = rows;
  dense.student = rows.student.contiguous(), dense.teacher = rows.teacher.contiguous();
  if (rows.labels.defined()) dense.labels = rows.labels.contiguous();
  kernels->kl_rows(dense);
}

}  // namespace espalier
