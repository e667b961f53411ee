// SPDX-License-Identifier: Apache-2.0
#include "core/train/optimizer.hpp"

#include <optional>

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include "core/base/error.hpp"
#include "core/ops/adamw.hpp"

namespace espalier {
namespace {

bool is_narrow(const at::Tensor& parameter) { return parameter.scalar_type() != at::kFloat; }

// Adds what a backward pass leaves at a bfloat16 parameter to its float32 gradient at once, so that never more than one
// parameter has both.
class Widened : public torch::autograd::PostAccumulateGradHook {
 public:
  explicit Widened(at::Tensor wide) : wide_(std::move(wide)) {}
  void operator()(const at::Tensor& parameter) override {
    at::NoGradGuard no_grad;
    wide_.add_(parameter.grad());
    parameter.mutable_grad() = at::Tensor();
  }

 private:
  at::Tensor wide_;
};

std::vector<at::ScalarType> gradients_of(const std::vector<at::Tensor>& parameters, const AdamWOptions& options) {
  std::vector<at::ScalarType> dtypes;
  for (const at::Tensor& parameter : parameters)
    dtypes.push_back(is_narrow(parameter) ? options.gradients : at::kFloat);
  for (const std::size_t i : options.float_gradients) dtypes[i] = at::kFloat;
  return dtypes;
}

double decay_of(const at::Tensor& parameter, const AdamWOptions& options) {
  return parameter.dim() >= 2 ? options.weight_decay : 0.0;
}

}  // namespace

AdamW::AdamW(std::vector<at::Tensor> parameters, const AdamWOptions& options, Comm& comm)
    : options_(options),
      comm_(comm),
      parameters_(std::move(parameters)),
      layout_(parameters_, comm.size(), gradients_of(parameters_, options)) {
  at::NoGradGuard no_grad;
  ESPALIER_CHECK(!parameters_.empty(), "nothing to train");
  for (const at::Tensor& parameter : parameters_) {
    ESPALIER_CHECK(!is_narrow(parameter) || parameter.scalar_type() == at::kBFloat16, parameter.scalar_type());
  }
  floats_ = parameters_.front().options().dtype(at::kFloat).requires_grad(false);
  for (const FlatRegion& region : layout_.regions())
    flat_gradients_.push_back(at::zeros({region.part * comm_.size()}, floats_.dtype(region.gradients)));
  for (std::size_t i = 0; i < parameters_.size(); ++i) gradients_.push_back(layout_.view(flat_gradients_, i));
  if (!comm_.alone()) move_parameters();
  make_state();
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (gradients_[i].scalar_type() != parameters_[i].scalar_type()) {
      torch::autograd::impl::set_post_acc_grad_hooks(parameters_[i], std::make_unique<Widened>(gradients_[i]));
    } else {
      parameters_[i].mutable_grad() = gradients_[i];
    }
  }
}

AdamW::~AdamW() {
  for (const at::Tensor& parameter : parameters_) {
    parameter.mutable_grad() = at::Tensor();
    torch::autograd::impl::set_post_acc_grad_hooks(parameter, nullptr);
  }
}

void AdamW::move_parameters() {
  for (const FlatRegion& region : layout_.regions()) {
    const std::int64_t size = region.part * comm_.size();
    at::Tensor flat = at::zeros({size}, floats_.dtype(region.dtype));
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
  const at::Tensor first = at::zeros({layout_.own_size()}, floats_.dtype(options_.moments));
  const at::Tensor second = at::zeros_like(first);
  step_count_ = at::zeros({}, floats_);
  for (std::size_t k = 0; k < pieces_.size(); ++k) {
    const FlatPiece& piece = pieces_[k];
    const at::Tensor& parameter = parameters_[piece.parameter];
    const auto shaped = [&](const at::Tensor& flat) {
      return piece.count() == parameter.numel() ? flat.view(parameter.sizes()) : flat;
    };
    const auto part = [&](const at::Tensor& whole) {
      return shaped(whole.detach().flatten().narrow(0, piece.begin, piece.count()));
    };
    weights_.push_back(part(parameter));
    ESPALIER_CHECK(weights_.back().is_contiguous() && weights_.back().is_alias_of(parameter), "a parameter with gaps");
    rests_.push_back(is_narrow(parameter) ? at::zeros(weights_.back().sizes(), floats_.dtype(at::kShort))
                                          : at::Tensor());
    own_gradients_.push_back(part(gradients_[piece.parameter]));
    first_.push_back(shaped(first.narrow(0, piece.place, piece.count())));
    second_.push_back(shaped(second.narrow(0, piece.place, piece.count())));
    const bool fused = !is_narrow(parameter) && options_.moments == at::kFloat;
    (fused ? (parameter.dim() >= 2 ? decayed_ : plain_) : single_).push_back(k);
  }
}

void AdamW::zero_gradients() {
  for (at::Tensor& flat : flat_gradients_) flat.zero_();
}

void AdamW::reduce_gradients() {
  if (comm_.alone()) return;
  for (std::size_t r = 0; r < flat_gradients_.size(); ++r) {
    at::Tensor own = own_part(flat_gradients_[r], layout_.regions()[r].part);
    comm_.reduce_scatter(flat_gradients_[r], own);
  }
}

at::Tensor AdamW::gradient_squares() const {
  at::Tensor squares;
  for (std::size_t r = 0; r < flat_gradients_.size(); ++r) {
    const at::Tensor own = own_part(flat_gradients_[r], layout_.regions()[r].part);
    const at::Tensor norm = at::linalg_vector_norm(own, 2, std::nullopt, /*keepdim=*/false, at::kFloat);
    const at::Tensor of_region = norm.to(at::kDouble).square();
    squares = squares.defined() ? squares + of_region : of_region;
  }
  return squares;
}

void AdamW::step(double learning_rate, double gradient_factor) {
  at::NoGradGuard no_grad;
  step_count_.fill_(static_cast<double>(++steps_));
  update_group(decayed_, learning_rate, options_.weight_decay, gradient_factor);
  update_group(plain_, learning_rate, 0.0, gradient_factor);
  for (const std::size_t k : single_) {
    update_piece(k, learning_rate, decay_of(parameters_[pieces_[k].parameter], options_), gradient_factor);
  }
  publish();
}

void AdamW::update_group(const std::vector<std::size_t>& group, double learning_rate, double weight_decay,
                         double factor) {
  if (group.empty()) return;
  std::vector<at::Tensor> weights, gradients, first, second;
  for (const std::size_t k : group) {
    weights.push_back(weights_[k]);
    gradients.push_back(own_gradients_[k]);
    first.push_back(first_[k]);
    second.push_back(second_[k]);
  }
  // The fused kernel divides gradients on its way, which makes clipping free.
  std::optional<at::Tensor> divisor;
  if (factor != 1.0) divisor = at::full({}, 1.0 / factor, step_count_.options());
  const std::vector<at::Tensor> counts(group.size(), step_count_);
  at::_fused_adamw_(weights, gradients, first, second, {}, counts, learning_rate, options_.beta1, options_.beta2,
                    weight_decay, options_.eps, /*amsgrad=*/false, /*maximize=*/false, divisor);
}

void AdamW::update_piece(std::size_t k, double learning_rate, double weight_decay, double factor) {
  AdamWUpdate update{.learning_rate = learning_rate,
                     .beta1 = options_.beta1,
                     .beta2 = options_.beta2,
                     .eps = options_.eps,
                     .weight_decay = weight_decay,
                     .step = steps_,
                     .master = {},
                     .weight = {},
                     .rest = rests_[k],
                     .gradient = own_gradients_[k],
                     .first = first_[k],
                     .second = second_[k],
                     .factor = factor};
  (rests_[k].defined() ? update.weight : update.master) = weights_[k];
  adamw_update(update);
}

void AdamW::begin_with(const std::function<at::Tensor(std::size_t)>& start) {
  for (std::size_t k = 0; k < pieces_.size(); ++k) {
    const FlatPiece& piece = pieces_[k];
    if (!rests_[k].defined()) continue;
    const at::Tensor whole = start(piece.parameter);
    if (!whole.defined()) continue;
    set_weight(k, whole.flatten().narrow(0, piece.begin, piece.count()).to(at::kFloat));
  }
  restored(0);
}

void AdamW::restored(std::int64_t steps) {
  at::NoGradGuard no_grad;
  steps_ = steps;
  publish();
}

void AdamW::publish() {
  for (std::size_t r = 0; r < flat_parameters_.size(); ++r) {
    comm_.all_gather(own_part(flat_parameters_[r], layout_.regions()[r].part), flat_parameters_[r]);
  }
}

at::Tensor AdamW::weight(std::size_t k) const {
  return rests_[k].defined() ? joined_master(weights_[k], rests_[k]) : weights_[k];
}

void AdamW::set_weight(std::size_t k, const at::Tensor& weight) {
  at::NoGradGuard no_grad;
  if (!rests_[k].defined()) {
    weights_[k].copy_(weight.view(weights_[k].sizes()));
    return;
  }
  at::Tensor high, rest;
  split_master(weight.view(weights_[k].sizes()), high, rest);
  weights_[k].copy_(high);
  rests_[k].copy_(rest);
}

at::Tensor AdamW::whole_weight(std::size_t i) {
  at::NoGradGuard no_grad;
  const at::Tensor& parameter = parameters_[i];
  if (!is_narrow(parameter)) return parameter.detach();
  if (comm_.alone()) return weight(own_piece(i));
  at::Tensor whole = at::empty({parameter.numel()}, floats_);
  for (std::int64_t rank = 0; rank < comm_.size(); ++rank) {
    for (const FlatPiece& piece : layout_.pieces(rank)) {
      if (piece.parameter != i) continue;
      at::Tensor part = whole.narrow(0, piece.begin, piece.count());
      if (rank == comm_.rank()) part.copy_(weight(own_piece(i)).flatten());
      comm_.broadcast(part, rank);
    }
  }
  return whole.view(parameter.sizes());
}

// A parameter has one piece on a rank.
std::size_t AdamW::own_piece(std::size_t parameter) const {
  for (std::size_t k = 0; k < pieces_.size(); ++k) {
    if (pieces_[k].parameter == parameter) return k;
  }
  ESPALIER_CHECK(false, "a piece of another rank");
  return 0;
}

}  // namespace espalier
