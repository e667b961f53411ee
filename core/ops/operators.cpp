// SPDX-License-Identifier: Apache-2.0
#include "core/ops/operators.hpp"

#include <torch/library.h>

#include "core/ops/kl_rows.hpp"
#include "core/ops/statistics.hpp"

namespace espalier {
namespace {

void kl_rows_operator(const at::Tensor& student, const at::Tensor& teacher, double temperature, double scale,
                      at::Tensor& loss, at::Tensor& gradient) {
  kl_rows({.temperature = temperature,
           .kl_scale = scale,
           .student = student,
           .teacher = teacher,
           .labels = {},
           .kl = loss,
           .ce = {},
           .gradient = gradient,
           .accumulate = true});
}

torch::Library* defined() {
  auto* library = new torch::Library(torch::Library::DEF, "espalier", std::nullopt, __FILE__, __LINE__);
  library->def(
      "kl_rows(Tensor student, Tensor teacher, float temperature, float scale, Tensor(a!) loss, Tensor(b!) gradient) "
      "-> "
      "()",
      torch::dispatch(c10::DispatchKey::CompositeExplicitAutograd, kl_rows_operator));
  library->def("channel_statistics(Tensor x) -> Tensor",
               torch::dispatch(c10::DispatchKey::CompositeExplicitAutograd, channel_statistics));
  return library;
}

}  // namespace

void offer_operators() {
  [[maybe_unused]] static torch::Library* library = defined();  // for the life of the process, like what is loaded
}

}  // namespace espalier
