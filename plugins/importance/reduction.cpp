// SPDX-License-Identifier: Apache-2.0
#include "reduction.hpp"

#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/var.h>
#include <ATen/TensorOperators.h>

#include "espalier/sdk/error.hpp"
#include "state.hpp"

namespace espalier::plugins {

Reduce reduce_named(const std::string& name) {
  if (name == "mean") return Reduce::mean;
  if (name == "l2") return Reduce::l2;
  ESPALIER_CHECK(name == "var", "reduction ", name);
  return Reduce::var;
}

at::Tensor reduce_tokens(const at::Tensor& sample, Reduce how) {
  switch (how) {
    case Reduce::mean:
      return sample.abs().mean(0);
    case Reduce::l2:
      return at::linalg_vector_norm(sample, 2, at::IntArrayRef({0}));
    case Reduce::var:
      break;
  }
  return at::var(sample, at::IntArrayRef({0}), /*correction=*/0);
}

at::Tensor reduced_statistics(const at::Tensor& statistics, std::int64_t tokens, Reduce how) {
  const double count = static_cast<double>(tokens);
  switch (how) {
    case Reduce::mean:
      return statistics.select(-2, 0) / count;
    case Reduce::l2:
      return statistics.select(-2, 1).sqrt();
    case Reduce::var:
      break;
  }
  return statistics.select(-2, 3) / count;
}

SampleReduction::SampleReduction(Reduce how, std::int64_t size) : how_(how) {
  state_ = {zeros(1), zeros(size)};
  if (how == Reduce::var) state_.push_back(zeros(size));
}

double SampleReduction::samples() const { return state_[0].item<double>(); }

void SampleReduction::add(const at::Tensor& sample) {
  for (at::Tensor& tensor : state_) tensor = tensor.to(sample.device());  // once, with the first sample
  const at::Tensor s = sample.to(at::kDouble);
  state_[0].add_(1);
  switch (how_) {
    case Reduce::mean:
      state_[1].add_(s);
      return;
    case Reduce::l2:
      state_[1].addcmul_(s, s);
      return;
    case Reduce::var:
      break;
  }
  const at::Tensor difference = s - state_[1];
  state_[1].add_(difference / state_[0]);
  state_[2].addcmul_(difference, s - state_[1]);
}

at::Tensor SampleReduction::finish() const {
  switch (how_) {
    case Reduce::mean:
      return state_[1] / state_[0];
    case Reduce::l2:
      return state_[1].sqrt();
    case Reduce::var:
      break;
  }
  return state_[2] / state_[0];
}

void SampleReduction::merge(const std::vector<at::Tensor>& later) {
  std::vector<at::Tensor> other;
  for (const at::Tensor& tensor : later) other.push_back(tensor.to(state_[0].device(), at::kDouble));
  if (how_ == Reduce::var && other[0].item<double>() > 0) {
    const at::Tensor n = state_[0] + other[0], difference = other[1] - state_[1];
    state_[1].add_(difference * (other[0] / n));
    state_[2].add_(other[2]).add_(difference * difference * (state_[0] * other[0] / n));
  } else if (how_ != Reduce::var) {
    state_[1].add_(other[1]);
  }
  state_[0].add_(other[0]);
}

}  // namespace espalier::plugins
