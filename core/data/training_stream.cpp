// SPDX-License-Identifier: Apache-2.0
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"
#include "core/base/random.hpp"
#include "core/data/blend.hpp"
#include "core/data/tokens.hpp"

namespace espalier {

namespace {

std::vector<std::uint64_t> shares_of_sources(const std::vector<TokenSource>& sources,
                                             const std::vector<std::int64_t>& windows) {
  const auto weighted = std::count_if(sources.begin(), sources.end(), [](const auto& one) { return one.weight; });
  if (weighted == 0) return {windows.begin(), windows.end()};
  std::vector<double> weights;
  for (const TokenSource& source : sources) {
    if (!source.weight) {
      reject("{}: no weight; got one for {} of {} sources; expected weights for all of them or for none", source.name,
             weighted, sources.size());
    }
    if (!(*source.weight > 0) || !std::isfinite(*source.weight)) {
      reject("{}: weight is not usable; got {}; expected a number above 0", source.name, *source.weight);
    }
    weights.push_back(*source.weight);
  }
  return shares_of(weights);
}

}  // namespace

struct TrainingStream::State {
  std::vector<TokenSource> sources;
  std::vector<std::int64_t> windows;  // of each source
  std::int64_t seq_length;
  std::uint64_t seed;
  Blend blend;
};

TrainingStream::TrainingStream(std::vector<TokenSource> sources, std::int64_t seq_length, std::uint64_t seed) {
  if (sources.empty()) reject("no training data; got an empty list of sources; expected at least one");
  if (seq_length < 1) reject("seq_length is out of range; got {}; expected 1 or more", seq_length);
  std::vector<std::int64_t> windows;
  for (const TokenSource& source : sources) {
    windows.push_back((source.tokens.size() - 1) / seq_length);
    if (windows.back() == 0) {
      fail(
          "{}: shorter than one training window; got {} tokens; expected at least {} (seq_length {} and the label of "
          "its last token)",
          source.name, source.tokens.size(), seq_length + 1, seq_length);
    }
  }
  Blend blend(shares_of_sources(sources, windows));
  state_ =
      std::make_shared<const State>(State{std::move(sources), std::move(windows), seq_length, seed, std::move(blend)});
}

TrainingStream::Place TrainingStream::place(std::int64_t sequence) const {
  ESPALIER_CHECK(sequence >= 0, sequence);
  const Blend::Turn turn = state_->blend(static_cast<std::uint64_t>(sequence));
  const auto windows = static_cast<std::uint64_t>(state_->windows[turn.source]);
  const std::uint64_t epoch = turn.ordinal / windows;
  const Permutation order(windows, mix(mix(state_->seed, turn.source), epoch));
  return {turn.source, static_cast<std::int64_t>(order(turn.ordinal % windows))};
}

TrainingStream::Batch TrainingStream::batch(std::int64_t first, std::int64_t count) const {
  const std::int64_t length = state_->seq_length;
  Batch batch{at::empty({count, length}, at::kLong), at::empty({count, length}, at::kLong)};
  std::int64_t* tokens = batch.tokens.data_ptr<std::int64_t>();
  std::int64_t* labels = batch.labels.data_ptr<std::int64_t>();
  std::vector<std::int64_t> window(static_cast<std::size_t>(length) + 1);
  std::vector<std::uint8_t> learnt(static_cast<std::size_t>(length));
  for (std::int64_t row = 0; row < count; ++row, tokens += length, labels += length) {
    const Place from = place(first + row);
    const TokenFile& file = state_->sources[from.source].tokens;
    const std::int64_t begin = from.window * length;
    file.read(begin, begin + length + 1, window.data());
    std::copy(window.begin(), window.end() - 1, tokens);
    std::copy(window.begin() + 1, window.end(), labels);
    if (!file.has_loss_mask()) continue;
    file.read_mask(begin + 1, begin + length + 1, learnt.data());
    for (std::int64_t i = 0; i < length; ++i) {
      if (learnt[static_cast<std::size_t>(i)] == 0) labels[i] = kIgnoredLabel;
    }
  }
  return batch;
}

std::int64_t TrainingStream::learnt(std::int64_t first, std::int64_t count) const {
  const std::int64_t length = state_->seq_length;
  const bool whole = std::none_of(state_->sources.begin(), state_->sources.end(),
                                  [](const TokenSource& source) { return source.tokens.has_loss_mask(); });
  if (whole) return count * length;
  std::vector<std::uint8_t> learnt(static_cast<std::size_t>(length));
  std::int64_t sum = 0;
  for (std::int64_t sequence = first; sequence < first + count; ++sequence) {
    const Place from = place(sequence);
    const TokenFile& file = state_->sources[from.source].tokens;
    const std::int64_t begin = from.window * length + 1;
    if (file.has_loss_mask()) file.read_mask(begin, begin + length, learnt.data());
    sum += file.has_loss_mask() ? length - std::count(learnt.begin(), learnt.end(), 0) : length;
  }
  return sum;
}

std::int64_t TrainingStream::windows() const {
  std::int64_t sum = 0;
  for (const std::int64_t windows : state_->windows) sum += windows;
  return sum;
}

std::int64_t TrainingStream::max_token() const {
  std::int64_t largest = 0;
  for (const TokenSource& source : state_->sources) largest = std::max(largest, source.tokens.max_token());
  return largest;
}

}  // namespace espalier
