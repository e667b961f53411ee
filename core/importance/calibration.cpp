// SPDX-License-Identifier: Apache-2.0
#include "core/importance/calibration.hpp"

#include <algorithm>

#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>

#include "core/base/error.hpp"
#include "core/base/random.hpp"
#include "core/base/strings.hpp"

namespace espalier {

Calibration::Calibration(const std::vector<TokenSource>& sources, std::int64_t seq_length, std::int64_t samples,
                         std::uint64_t seed, std::int64_t vocab)
    : seq_length_(seq_length) {
  std::vector<std::int64_t> ends;
  for (const TokenSource& source : sources) {
    windows_.emplace_back(source, seq_length);
    ends.push_back((ends.empty() ? 0 : ends.back()) + windows_.back().size());
  }
  const std::int64_t available = ends.empty() ? 0 : ends.back();
  if (samples < 1 || samples > available) {
    fail(
        "calibration data: not enough for the samples asked for; got {} windows of {} tokens; expected at least {} "
        "(score.samples)",
        with_commas(available), seq_length, with_commas(samples));
  }
  const Permutation order(static_cast<std::uint64_t>(available), mix(seed, 0x63616C6962ULL));  // "calib"
  for (std::int64_t i = 0; i < samples; ++i) {
    const auto drawn = static_cast<std::int64_t>(order(static_cast<std::uint64_t>(i)));
    const auto end = std::upper_bound(ends.begin(), ends.end(), drawn);
    const auto source = static_cast<std::size_t>(end - ends.begin());
    places_.push_back({source, drawn - (source == 0 ? 0 : ends[source - 1])});
    const std::int64_t largest = tokens(i, 1).max().item<std::int64_t>();
    if (largest >= vocab) {
      fail("{}: token beyond the model's vocabulary; got {}; expected less than {}", windows_[source].source().name,
           largest, vocab);
    }
  }
}

at::Tensor Calibration::tokens(std::int64_t first, std::int64_t count) const {
  std::vector<at::Tensor> rows;
  for (std::int64_t i = first; i < first + count; ++i) {
    const Place& place = places_[static_cast<std::size_t>(i)];
    rows.push_back(windows_[place.source].tokens(place.window, 1));
  }
  return at::cat(rows);
}

at::Tensor Calibration::learnt(std::int64_t first, std::int64_t count) const {
  std::vector<at::Tensor> rows;
  bool any = false;
  for (std::int64_t i = first; i < first + count; ++i) {
    const Place& place = places_[static_cast<std::size_t>(i)];
    const at::Tensor mask = windows_[place.source].mask(place.window, 1);
    any = any || mask.defined();
    rows.push_back(mask.defined() ? mask.narrow(1, 1, seq_length_ - 1) : at::ones({1, seq_length_ - 1}, at::kBool));
  }
  return any ? at::cat(rows) : at::Tensor();
}

}  // namespace espalier
