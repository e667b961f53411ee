// SPDX-License-Identifier: Apache-2.0
#include <ATen/ops/empty.h>

#include <algorithm>

#include "core/base/error.hpp"
#include "core/data/tokens.hpp"

namespace espalier {

Windows::Windows(TokenSource source, std::int64_t seq_length) : source_(std::move(source)), seq_length_(seq_length) {
  if (seq_length < 2) reject("seq_length is out of range; got {}; expected 2 or more", seq_length);
  if (size() == 0) {
    fail("{}: shorter than one window; got {} tokens; expected at least {} (seq_length)", source_.name,
         source_.tokens.size(), seq_length);
  }
}

std::int64_t Windows::size() const { return source_.tokens.size() / seq_length_; }

const TokenSource& Windows::source() const { return source_; }

at::Tensor Windows::tokens(std::int64_t first, std::int64_t count) const {
  ESPALIER_CHECK(0 <= first && 0 <= count && first + count <= size(), first, " + ", count, " of ", size());
  at::Tensor out = at::empty({count, seq_length_}, at::kLong);
  source_.tokens.read(first * seq_length_, (first + count) * seq_length_, out.data_ptr<std::int64_t>());
  return out;
}

at::Tensor Windows::mask(std::int64_t first, std::int64_t count) const {
  ESPALIER_CHECK(0 <= first && 0 <= count && first + count <= size(), first, " + ", count, " of ", size());
  if (!source_.tokens.has_loss_mask()) return {};
  at::Tensor out = at::empty({count, seq_length_}, at::kByte);
  source_.tokens.read_mask(first * seq_length_, (first + count) * seq_length_, out.data_ptr<std::uint8_t>());
  return out.to(at::kBool);
}

at::Tensor Windows::documents(std::int64_t first, std::int64_t count) const {
  ESPALIER_CHECK(0 <= first && 0 <= count && first + count <= size(), first, " + ", count, " of ", size());
  const std::vector<std::int64_t>& ends = source_.tokens.document_ends();
  at::Tensor out = at::empty({count, seq_length_ - 1}, at::kLong);
  std::int64_t* to = out.data_ptr<std::int64_t>();
  for (std::int64_t window = first; window < first + count; ++window) {
    const std::int64_t begin = window * seq_length_ + 1, end = (window + 1) * seq_length_;
    // The document of a token is the first that ends behind it.
    auto document = std::upper_bound(ends.begin(), ends.end(), begin);
    for (std::int64_t at = begin; at < end; ++at) {
      while (*document <= at) ++document;
      *to++ = document - ends.begin();
    }
  }
  return out;
}

}  // namespace espalier
