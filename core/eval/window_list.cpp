// SPDX-License-Identifier: Apache-2.0
#include "core/eval/window_list.hpp"

#include <algorithm>

#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>

#include "core/base/error.hpp"

namespace espalier {

WindowList::WindowList(const std::vector<TokenSource>& sources, std::int64_t seq_length, std::int64_t wanted)
    : seq_length_(seq_length) {
  if (sources.empty()) fail("evaluation: no data; got 0 sources; expected at least 1");
  std::vector<std::int64_t> ends;
  for (const TokenSource& source : sources) {
    windows_.emplace_back(source, seq_length);
    available_ += windows_.back().size();
    ends.push_back(available_);
  }
  const std::int64_t count = wanted > 0 ? std::min(wanted, available_) : available_;
  std::size_t source = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    // i · available / count, without overflow
    const std::int64_t global = available_ / count * i + available_ % count * i / count;
    while (global >= ends[source]) ++source;
    places_.push_back({source, global - (source == 0 ? 0 : ends[source - 1])});
  }
}

WindowList::Batch WindowList::batch(std::int64_t first, std::int64_t count) const {
  Batch batch;
  std::vector<at::Tensor> tokens, documents, learnt;
  bool masked = false;
  for (std::int64_t i = first; i < first + count; ++i) {
    const Place& place = places_[static_cast<std::size_t>(i)];
    const Windows& windows = windows_[place.source];
    const at::Tensor mask = windows.mask(place.window, 1);
    masked = masked || mask.defined();
    batch.source.push_back(place.source);
    tokens.push_back(windows.tokens(place.window, 1));
    documents.push_back(windows.documents(place.window, 1));
    learnt.push_back(mask.defined() ? mask.narrow(1, 1, seq_length_ - 1) : at::ones({1, seq_length_ - 1}, at::kBool));
  }
  batch.tokens = at::cat(tokens);
  batch.documents = at::cat(documents);
  if (masked) batch.learnt = at::cat(learnt);
  return batch;
}

}  // namespace espalier
