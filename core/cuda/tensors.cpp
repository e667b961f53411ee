// SPDX-License-Identifier: Apache-2.0
#include "core/cuda/tensors.hpp"

#include <algorithm>

#include <ATen/ops/empty.h>

#include "core/cuda/kernels.hpp"
#include "core/cuda/place.hpp"
#include "core/cuda/recording.hpp"
#include "core/ops/adamw_numbers.hpp"
#include "espalier/sdk/error.hpp"

namespace espalier::cuda {
namespace {

Number number_of(const at::Tensor& x) {
  switch (x.scalar_type()) {
    case at::kFloat:
      return Number::f32;
    case at::kBFloat16:
      return Number::bf16;
    default:
      ESPALIER_CHECK(x.scalar_type() == at::kHalf, "kernels have no ", x.scalar_type());
      return Number::f16;
  }
}

const void* read(const at::Tensor& x) { return x.defined() ? x.const_data_ptr() : nullptr; }
void* written(const at::Tensor& x) { return x.defined() ? x.mutable_data_ptr() : nullptr; }
const float* floats(const at::Tensor& x) { return static_cast<const float*>(read(x)); }
float* floats_written(const at::Tensor& x) { return static_cast<float*>(written(x)); }

void norm_of(const NormCall& call) {
  const Place place(call.x);
  const std::int64_t width = call.x.size(-1);
  norm(number_of(call.x),
       {.centred = call.centred,
        .eps = static_cast<float>(call.eps),
        .offset = static_cast<float>(call.offset),
        .rows = width > 0 ? call.x.numel() / width : 0,
        .width = width,
        .x = read(call.x),
        .residual = read(call.residual),
        .weight = read(call.weight),
        .bias = read(call.bias),
        .sum = written(call.sum),
        .y = written(call.y),
        .mean = floats_written(call.mean),
        .rstd = floats_written(call.rstd)},
       place.stream());
  place.launched();
}

void norm_backward_of(const NormBackwardCall& call) {
  const Place place(call.x);
  const std::int64_t width = call.x.size(-1), rows = width > 0 ? call.x.numel() / width : 0;
  const std::int64_t groups = std::min(rows, kNormGroups);
  const at::Tensor partial = at::empty({groups, call.dbias.defined() ? 2 * width : width},
                                       call.x.options().dtype(at::kFloat).requires_grad(false));
  norm_backward(number_of(call.x),
                {.centred = call.centred,
                 .offset = static_cast<float>(call.offset),
                 .rows = rows,
                 .width = width,
                 .groups = groups,
                 .dy = read(call.dy),
                 .dsum = read(call.dsum),
                 .x = read(call.x),
                 .weight = read(call.weight),
                 .mean = floats(call.mean),
                 .rstd = floats(call.rstd),
                 .dx = written(call.dx),
                 .dweight = written(call.dweight),
                 .dbias = written(call.dbias),
                 .partial = floats_written(partial)},
                place.stream());
  place.launched();
}

int function_of(Activation activation) { return activation == Activation::silu ? 0 : 1; }

void activation_of(const ActivationCall& call) {
  const Place place(call.gate);
  activate(number_of(call.gate),
           {.function = function_of(call.activation),
            .size = call.gate.numel(),
            .gate = read(call.gate),
            .up = read(call.up),
            .y = written(call.y)},
           place.stream());
  place.launched();
}

void activation_backward_of(const ActivationBackwardCall& call) {
  const Place place(call.gate);
  activate_backward(number_of(call.gate),
                    {.function = function_of(call.activation),
                     .size = call.gate.numel(),
                     .dy = read(call.dy),
                     .gate = read(call.gate),
                     .up = read(call.up),
                     .dgate = written(call.dgate),
                     .dup = written(call.dup)},
                    place.stream());
  place.launched();
}

void rotate_of(const RotateCall& call) {
  const Place place(call.x);
  const auto stride = call.x.strides();
  rotate(number_of(call.x),
         {.batch = call.x.size(0),
          .heads = call.x.size(1),
          .positions = call.x.size(2),
          .width = call.x.size(3),
          .rotary = call.cos.size(1),
          .strides = {stride[0], stride[1], stride[2]},
          .x = read(call.x),
          .cos = read(call.cos),
          .sin = read(call.sin),
          .y = written(call.y),
          .sign = static_cast<float>(call.sign)},
         place.stream());
  place.launched();
}

void kl_rows_of(const KlRows& call) {
  const Place place(call.student);
  const bool ce = call.ce.defined();
  kl_rows(call.gradient.defined() ? number_of(call.gradient) : Number::f32,
          {.rows = call.student.size(0),
           .width = call.student.size(1),
           .temperature = static_cast<float>(call.temperature),
           .kl_scale = static_cast<float>(call.kl_scale / call.temperature),
           .ce_scale = static_cast<float>(call.ce_scale),
           .accumulate = call.accumulate,
           .student = floats(call.student),
           .teacher = floats(call.teacher),
           .labels = ce ? call.labels.const_data_ptr<std::int64_t>() : nullptr,
           .gradient = written(call.gradient),
           .kl = floats_written(call.kl),
           .ce = floats_written(call.ce)},
          place.stream());
  place.launched();
}

void adamw_of(const AdamWUpdate& update) {
  const Place place(update.gradient);
  const arithmetic::AdamWNumbers numbers = adamw_numbers(update);
  adamw({.size = update.gradient.numel(),
         .bf16_moments = update.first.scalar_type() == at::kBFloat16,
         .bf16_gradient = update.gradient.scalar_type() == at::kBFloat16,
         .keep = numbers.keep,
         .beta1 = numbers.beta1,
         .rest1 = numbers.rest1,
         .beta2 = numbers.beta2,
         .rest2 = numbers.rest2,
         .rate = numbers.rate,
         .correction = numbers.correction,
         .eps = numbers.eps,
         .factor = numbers.factor,
         .master = floats_written(update.master),
         .weight = written(update.weight),
         .rest = written(update.rest),
         .gradient = read(update.gradient),
         .first = written(update.first),
         .second = written(update.second)},
        place.stream());
  place.launched();
}

void statistics_of(const StatisticsCall& call) {
  const Place place(call.x);
  const std::int64_t samples = call.x.size(0), tokens = call.x.size(1), channels = call.x.size(2);
  const at::Tensor partial = at::empty({samples * statistics_chunks(tokens) * channels, 4},
                                       call.x.options().dtype(at::kFloat).requires_grad(false));
  statistics(number_of(call.x),
             {.samples = samples,
              .tokens = tokens,
              .channels = channels,
              .x = read(call.x),
              .partial = floats_written(partial),
              .out = static_cast<double*>(written(call.out))},
             place.stream());
  place.launched();
}

void gather_of(const GatherCall& call) {
  const Place place(call.x);
  Gather gathered{.outer = 1,
                  .extent = call.x.size(call.dim),
                  .kept = call.index.numel(),
                  .inner = 1,
                  .bytes = static_cast<std::int64_t>(call.x.element_size()),
                  .x = read(call.x),
                  .index = call.index.const_data_ptr<std::int64_t>(),
                  .out = written(call.out)};
  for (std::int64_t d = 0; d < call.dim; ++d) gathered.outer *= call.x.size(d);
  for (std::int64_t d = call.dim + 1; d < call.x.dim(); ++d) gathered.inner *= call.x.size(d);
  gather(gathered, place.stream());
  place.launched();
}

}  // namespace

const DeviceKernels kKernels = {
    .norm = norm_of,
    .norm_backward = norm_backward_of,
    .activation = activation_of,
    .activation_backward = activation_backward_of,
    .rotate = rotate_of,
    .kl_rows = kl_rows_of,
    .adamw = adamw_of,
    .statistics = statistics_of,
    .gather = gather_of,
    .record = record,
};

}  // namespace espalier::cuda
