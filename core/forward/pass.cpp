// SPDX-License-Identifier: Apache-2.0
// A whole forward pass, and the loss of the next token.
#include <algorithm>
#include <deque>
#include <mutex>

#include <ATen/ATen.h>

#include "core/forward/logit_rows.hpp"
#include "core/forward/model.hpp"
#include "core/forward/rotary_cache.hpp"

namespace espalier {

namespace {

// The tables of the last passes, for all models: to make one means to wait for a GPU.
class RecentTables {
 public:
  Rotary table(const Rope& rope, std::int64_t head_dim, std::int64_t positions, Compute compute) {
    const std::scoped_lock lock(mutex_);
    const auto found = std::find_if(recent_.begin(), recent_.end(), [&](const Entry& entry) {
      return entry.rope == rope && entry.head_dim == head_dim && entry.positions == positions &&
             entry.compute.dtype == compute.dtype && entry.compute.device == compute.device;
    });
    if (found != recent_.end()) return found->rotary;
    if (recent_.size() == kMost) recent_.pop_front();
    const c10::InferenceMode plain(false);  // a tensor of an evaluation may serve a training after it
    recent_.push_back(
        {rope, head_dim, positions, compute, rotary_table(rope, head_dim, positions, compute.dtype, compute.device)});
    return recent_.back().rotary;
  }

 private:
  static constexpr std::size_t kMost = 8;
  struct Entry {
    Rope rope;
    std::int64_t head_dim, positions;
    Compute compute;
    Rotary rotary;
  };
  std::mutex mutex_;
  std::deque<Entry> recent_;
};

RecentTables& recent_tables() {
  static auto* tables = new RecentTables;  // never freed: a device's tensors must not outlive its driver
  return *tables;
}

}  // namespace

const Rotary& RotaryCache::of_layer(std::int64_t layer) {
  const std::int64_t head_dim = spec_.layers[static_cast<std::size_t>(layer)].head_dim;
  const auto found = by_head_dim_.find(head_dim);
  if (found != by_head_dim_.end()) return found->second;
  return by_head_dim_.emplace(head_dim, recent_tables().table(spec_.rope, head_dim, positions_, compute_))
      .first->second;
}

namespace {

// Keeps what was asked for while the stream goes by. A normed state waits for the next norm of the model.
class FeatureTaker {
 public:
  explicit FeatureTaker(Features* features) : features_(features) {}
  bool waits() const { return !waiting_.empty(); }
  void after_layer(std::int64_t layer, const at::Tensor& hidden) {
    if (features_ == nullptr) return;
    const auto raw = features_->find({layer, false}), normed = features_->find({layer, true});
    if (raw != features_->end()) raw->second = hidden;
    if (normed != features_->end()) waiting_.push_back(normed);
  }
  void norm(const at::Tensor& normed) {
    for (const auto& waiting : waiting_) waiting->second = normed;
    waiting_.clear();
  }

 private:
  Features* features_;
  std::vector<Features::iterator> waiting_;
};

}  // namespace

at::Tensor hidden_states(WeightSource& weights, const at::Tensor& tokens, Hooks* hooks, Features* features,
                         Recompute recompute) {
  const ModelSpec& spec = weights.spec();
  const Weights outer = weights.outer();
  RotaryCache tables(spec, tokens.size(1), weights.compute());
  FeatureTaker taker(features);
  at::Tensor hidden = embed(outer, tokens, hooks);
  taker.after_layer(-1, hidden);
  for (std::int64_t layer = 0; layer < static_cast<std::int64_t>(spec.layers.size()); ++layer) {
    const Weights at_hand = weights.layer(layer);
    if (taker.waits()) {
      const at::Tensor normed = entry_norm(spec, layer, at_hand, hidden, hooks);
      if (normed.defined()) taker.norm(normed);
    }
    hidden = decoder_layer(spec, layer, at_hand, tables.of_layer(layer), hidden, hooks, nullptr, recompute);
    taker.after_layer(layer, hidden);
  }
  hidden = final_norm(spec, outer, hidden, hooks);
  taker.norm(hidden);
  return hidden;
}

at::Tensor logits(const Weights& outer, const at::Tensor& hidden) {
  const at::Tensor& head = outer[Role::head];
  if (hidden.scalar_type() == at::kFloat || hidden.scalar_type() == at::kDouble) return affine(hidden, head);
  const at::NoGradGuard no_grad;
  std::vector<std::int64_t> shape = hidden.sizes().vec();
  shape.back() = head.size(0);
  at::Tensor wide = at::empty(shape, hidden.options().dtype(at::kFloat).requires_grad(false));
  at::Tensor rows = wide.view({-1, head.size(0)});
  product_into(rows, hidden.detach().reshape({-1, head.size(1)}), head.detach().t(), false);
  return wide;
}

std::int64_t rows_of_logits(std::int64_t vocab, at::Device device) {
  const std::int64_t bytes = std::int64_t{device.is_cpu() ? 64 : 768} << 20;
  return std::max<std::int64_t>(1, bytes / (4 * vocab));
}

std::int64_t logit_rows(const Weights& outer) {
  return rows_of_logits(outer[Role::head].size(0), outer[Role::head].device());
}

at::Tensor label_nll(const Weights& outer, const at::Tensor& hidden, const at::Tensor& labels) {
  const std::int64_t chunk = logit_rows(outer);
  std::vector<at::Tensor> parts;
  for (std::int64_t first = 0; first < hidden.size(0); first += chunk) {
    const std::int64_t count = std::min(chunk, hidden.size(0) - first);
    const at::Tensor scores = logits(outer, hidden.narrow(0, first, count)).to(at::kFloat);
    const at::Tensor picked = scores.gather(1, labels.narrow(0, first, count).unsqueeze(1)).squeeze(1);
    parts.push_back(scores.logsumexp(1) - picked);
  }
  return parts.empty() ? at::zeros({0}, hidden.options().dtype(at::kFloat)) : at::cat(parts);
}

at::Tensor next_token_nll(const Weights& outer, const at::Tensor& hidden, const at::Tensor& tokens,
                          at::Tensor* last_logits) {
  const std::int64_t batch = hidden.size(0), predicted = hidden.size(1) - 1;
  const at::Tensor rows = hidden.narrow(1, 0, predicted).reshape({batch * predicted, hidden.size(2)});
  if (last_logits != nullptr) *last_logits = logits(outer, hidden.select(1, predicted)).to(at::kFloat);
  return label_nll(outer, rows, tokens.narrow(1, 1, predicted).reshape({-1})).view({batch, predicted});
}

}  // namespace espalier
