// SPDX-License-Identifier: Apache-2.0
#include "core/train/optimizer.hpp"

#include <cmath>
#include <optional>

#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_zero.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include "core/base/error.hpp"

namespace espalier {
namespace {

bool is_narrow(const at::Tensor& parameter) { return parameter.scalar_type() != at::kFloat; }

}  // namespace

AdamW::AdamW(std::vector<at::Tensor> parameters, const AdamWOptions& options, Comm& comm)
    : options_(options), comm_(comm), parameters_(std::move(parameters)), layout_(parameters_, comm.size()) {
  at::NoGradGuard no_grad;
  ESPALIER_CHECK(!parameters_.empty(), "nothing to train");
  const at::TensorOptions floats = parameters_.front().options().dtype(at::kFloat).requires_grad(false);
  flat_gradient_ = at::zeros({layout_.size()}, floats);
  for (std::size_t i = 0; i < parameters_.size(); ++i) gradients_.push_back(layout_.view(flat_gradient_, i));
  if (!comm_.alone()) move_parameters();
  make_state();
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    masters_ = masters_ || is_narrow(parameters_[i]);
    if (!is_narrow(parameters_[i])) parameters_[i].mutable_grad() = gradients_[i];
  }
}

AdamW::~AdamW() {
  for (const at::Tensor& parameter : parameters_) parameter.mutable_grad() = at::Tensor();
}

void AdamW::move_parameters() {
  for (const FlatRegion& region : layout_.regions()) {
    const std::int64_t size = region.part * comm_.size();
    at::Tensor flat = at::zeros({size}, flat_gradient_.options().dtype(region.dtype));
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const std::int64_t begin = layout_.offset(i) - region.begin;
      if (begin < 0 || begin >= size) continue;
      const at::Tensor place = flat.narrow(0, begin, parameters_[i].numel()).view(parameters_[i].sizes());
      place.copy_(parameters_[i].detach());
      parameters_[i].set_data(place);
    }
    comm_.broadcast(flat, 0);  // machines that are not alike may have begun with other last digits
    flat_parameters_.push_back(std::move(flat));
  }
}

at::Tensor AdamW::own_part(const at::Tensor& region, std::int64_t part) const {
  return region.narrow(0, comm_.rank() * part, part);
}

void AdamW::make_state() {
  pieces_ = layout_.pieces(comm_.rank());
  const at::Tensor first = at::zeros({layout_.own_size()}, flat_gradient_.options()), second = at::zeros_like(first);
  step_count_ = at::zeros({}, first.options());
  for (std::size_t k = 0; k < pieces_.size(); ++k) {
    const FlatPiece& piece = pieces_[k];
    const at::Tensor& parameter = parameters_[piece.parameter];
    const auto shaped = [&](const at::Tensor& flat) {
      return piece.count() == parameter.numel() ? flat.view(parameter.sizes()) : flat;
    };
    const at::Tensor weight = parameter.detach().flatten().narrow(0, piece.begin, piece.count());
    weights_.push_back(shaped(is_narrow(parameter) ? weight.to(at::kFloat) : weight));
    own_gradients_.push_back(shaped(gradients_[piece.parameter].flatten().narrow(0, piece.begin, piece.count())));
    first_.push_back(shaped(first.narrow(0, piece.place, piece.count())));
    second_.push_back(shaped(second.narrow(0, piece.place, piece.count())));
    (parameter.dim() >= 2 ? decayed_ : plain_).push_back(k);
  }
}

void AdamW::collect() {
  if (!masters_) return;
  at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& passed = parameters_[i].mutable_grad();
    if (!is_narrow(parameters_[i]) || !passed.defined()) continue;
    gradients_[i].add_(passed);
    passed = at::Tensor();
  }
}

void AdamW::zero_gradients() { flat_gradient_.zero_(); }

void AdamW::reduce_gradients() {
  if (comm_.alone()) return;
  for (const FlatRegion& region : layout_.regions()) {
    const at::Tensor all = flat_gradient_.narrow(0, region.begin, region.part * comm_.size());
    at::Tensor own = own_part(all, region.part);
    comm_.reduce_scatter(all, own);
  }
}

double AdamW::gradient_norm() {
  if (comm_.alone()) return at::linalg_vector_norm(flat_gradient_).item<double>();
  double squares = 0.0;
  for (const FlatRegion& region : layout_.regions()) {
    const at::Tensor all = flat_gradient_.narrow(0, region.begin, region.part * comm_.size());
    const double norm = at::linalg_vector_norm(own_part(all, region.part)).item<double>();
    squares += norm * norm;
  }
  at::Tensor sum = at::full({1}, squares, at::TensorOptions(at::kDouble));
  comm_.all_reduce(sum);
  return std::sqrt(sum.item<double>());
}

void AdamW::step(double learning_rate, double gradient_factor) {
  at::NoGradGuard no_grad;
  step_count_.fill_(static_cast<double>(++steps_));
  // The fused kernel divides gradients on its way, which makes clipping free.
  at::Tensor divisor;
  if (gradient_factor != 1.0) divisor = at::scalar_tensor(1.0 / gradient_factor, step_count_.options());
  update(decayed_, learning_rate, options_.weight_decay, divisor);
  update(plain_, learning_rate, 0.0, divisor);
  publish();
}

void AdamW::update(const std::vector<std::size_t>& group, double learning_rate, double weight_decay,
                   const at::Tensor& divisor) {
  if (group.empty()) return;
  std::vector<at::Tensor> weights, gradients, first, second;
  for (const std::size_t k : group) {
    weights.push_back(weights_[k]);
    gradients.push_back(own_gradients_[k]);
    first.push_back(first_[k]);
    second.push_back(second_[k]);
  }
  const std::vector<at::Tensor> counts(group.size(), step_count_);
  at::_fused_adamw_(weights, gradients, first, second, {}, counts, learning_rate, options_.beta1, options_.beta2,
                    weight_decay, options_.eps, /*amsgrad=*/false, /*maximize=*/false,
                    divisor.defined() ? std::optional<at::Tensor>(divisor) : std::nullopt);
}

void AdamW::restored(std::int64_t steps) {
  at::NoGradGuard no_grad;
  steps_ = steps;
  publish();
}

void AdamW::publish() {
  if (masters_) {
    for (std::size_t k = 0; k < pieces_.size(); ++k) {
      const at::Tensor& parameter = parameters_[pieces_[k].parameter];
      if (!is_narrow(parameter)) continue;
      const at::Tensor flat = parameter.detach().flatten().narrow(0, pieces_[k].begin, pieces_[k].count());
      flat.view(weights_[k].sizes()).copy_(weights_[k]);
    }
  }
  for (std::size_t r = 0; r < flat_parameters_.size(); ++r) {
    comm_.all_gather(own_part(flat_parameters_[r], layout_.regions()[r].part), flat_parameters_[r]);
  }
}

at::Tensor AdamW::whole_weight(std::size_t i) {
  at::NoGradGuard no_grad;
  const at::Tensor& parameter = parameters_[i];
  if (!is_narrow(parameter)) return parameter.detach();
  at::Tensor whole = at::empty({parameter.numel()}, flat_gradient_.options());
  for (std::int64_t rank = 0; rank < comm_.size(); ++rank) {
    for (const FlatPiece& piece : layout_.pieces(rank)) {
      if (piece.parameter != i) continue;
      at::Tensor part = whole.narrow(0, piece.begin, piece.count());
      if (rank == comm_.rank()) part.copy_(own_weight(piece).flatten());
      comm_.broadcast(part, rank);
    }
  }
  return whole.view(parameter.sizes());
}

const at::Tensor& AdamW::own_weight(const FlatPiece& piece) const {
  for (std::size_t k = 0; k < pieces_.size(); ++k) {
    if (pieces_[k].parameter == piece.parameter) return weights_[k];  // a parameter has one piece on a rank
  }
  ESPALIER_CHECK(false, "a piece of another rank");
  return weights_.front();
}

}  // namespace espalier
