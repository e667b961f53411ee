// SPDX-License-Identifier: Apache-2.0
#include "core/ops/adamw.hpp"

#include <ATen/ops/empty.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include "core/base/error.hpp"
#include "core/ops/adamw_numbers.hpp"
#include "core/ops/cpu_adamw.hpp"
#include "core/ops/device_kernels.hpp"

namespace espalier {
namespace {

using arithmetic::Bf16;

constexpr std::int64_t kElements = 1 << 15;  // a thread takes at least

Bf16* bf16(const at::Tensor& x) { return x.defined() ? static_cast<Bf16*>(x.mutable_data_ptr()) : nullptr; }
template <class T>
T* data(const at::Tensor& x) {
  return x.defined() ? static_cast<T*>(x.mutable_data_ptr()) : nullptr;
}

bool is(const at::Tensor& x, at::ScalarType dtype) { return x.defined() && x.scalar_type() == dtype; }

void check(const AdamWUpdate& update) {
  const bool split = is(update.weight, at::kBFloat16) && is(update.rest, at::kShort) && !update.master.defined();
  const bool master = is(update.master, at::kFloat) && !update.weight.defined() && !update.rest.defined();
  ESPALIER_CHECK(split || master, "forms of AdamW's weights");
  const at::ScalarType moments = update.first.scalar_type();
  ESPALIER_CHECK(update.second.scalar_type() == moments && (moments == at::kFloat || moments == at::kBFloat16),
                 "moments of ", moments);
  ESPALIER_CHECK(is(update.gradient, at::kFloat) || is(update.gradient, at::kBFloat16), "gradient");
  for (const at::Tensor* x : {&update.master, &update.weight, &update.rest, &update.first, &update.second}) {
    ESPALIER_CHECK(!x->defined() || (x->numel() == update.gradient.numel() && x->is_contiguous() &&
                                     x->device() == update.gradient.device()),
                   "a tensor of another size, layout or device");
  }
  ESPALIER_CHECK(update.gradient.is_contiguous() && update.step >= 1, "step ", update.step);
}

template <class M>
void on_cpu(const AdamWUpdate& update) {
  const bool narrow = update.gradient.scalar_type() == at::kBFloat16;
  const arithmetic::AdamWArrays<M> arrays{data<float>(update.master),
                                          bf16(update.weight),
                                          data<std::int16_t>(update.rest),
                                          narrow ? nullptr : data<float>(update.gradient),
                                          narrow ? bf16(update.gradient) : nullptr,
                                          data<M>(update.first),
                                          data<M>(update.second)};
  const arithmetic::AdamWNumbers numbers = adamw_numbers(update);
  at::parallel_for(0, update.gradient.numel(), kElements,
                   [&](std::int64_t begin, std::int64_t end) { cpu::adamw(arrays, begin, end, numbers); });
}

}  // namespace

void adamw_update(const AdamWUpdate& update) {
  const at::NoGradGuard no_grad;
  check(update);
  if (const DeviceKernels* kernels = device_kernels(update.gradient)) return kernels->adamw(update);
  ESPALIER_CHECK(update.gradient.is_cpu(), "AdamW on ", update.gradient.device());
  update.first.scalar_type() == at::kBFloat16 ? on_cpu<Bf16>(update) : on_cpu<float>(update);
}

void split_master(const at::Tensor& master, at::Tensor& weight, at::Tensor& rest) {
  const at::NoGradGuard no_grad;
  const at::Tensor whole = master.detach().to(at::kCPU).contiguous();
  const at::Tensor high = at::empty(whole.sizes(), whole.options().dtype(at::kBFloat16));
  const at::Tensor low = at::empty(whole.sizes(), whole.options().dtype(at::kShort));
  cpu::split(whole.const_data_ptr<float>(), bf16(high), data<std::int16_t>(low), whole.numel());
  weight = high.to(master.device()), rest = low.to(master.device());
}

at::Tensor joined_master(const at::Tensor& weight, const at::Tensor& rest) {
  const at::NoGradGuard no_grad;
  const at::Tensor high = weight.detach().to(at::kCPU).contiguous(), low = rest.to(at::kCPU).contiguous();
  const at::Tensor whole = at::empty(high.sizes(), high.options().dtype(at::kFloat));
  cpu::join(bf16(high), data<std::int16_t>(low), whole.mutable_data_ptr<float>(), whole.numel());
  return whole.to(weight.device());
}

}  // namespace espalier
