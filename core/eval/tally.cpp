// SPDX-License-Identifier: Apache-2.0
#include "core/eval/tally.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/base/error.hpp"

namespace espalier {
namespace {

Measure measure_of(double nll, double bytes, std::int64_t tokens, std::int64_t documents) {
  Measure measure;
  measure.tokens = tokens;
  measure.documents = documents;
  if (tokens > 0) measure.nll = nll / static_cast<double>(tokens);
  if (bytes > 0) measure.bits_per_byte = nll / std::numbers::ln2 / bytes;
  return measure;
}

}  // namespace

double Measure::perplexity() const { return std::exp(nll); }

Tally::Tally(const std::vector<TokenSource>& sources, const std::string& tokenizer)
    : sources_(sources), byte_tokens_(tokenizer == "bytes"), sums_(sources.size()) {}

void Tally::add(const WindowList::Batch& batch, const at::Tensor& nll) {
  const at::Tensor losses = nll.to(at::kCPU, at::kFloat).contiguous(), tokens = batch.tokens.contiguous();
  const std::int64_t predicted = losses.size(1);
  for (std::int64_t w = 0; w < losses.size(0); ++w) {
    const std::size_t source = batch.source[static_cast<std::size_t>(w)];
    Sums& sums = sums_[source];
    const float* loss = losses.const_data_ptr<float>() + w * predicted;
    const std::int64_t* token = tokens.const_data_ptr<std::int64_t>() + w * (predicted + 1) + 1;
    const std::int64_t* document = batch.documents.const_data_ptr<std::int64_t>() + w * predicted;
    const bool* learnt = batch.learnt.defined() ? batch.learnt.const_data_ptr<bool>() + w * predicted : nullptr;
    for (std::int64_t t = 0; t < predicted; ++t) {
      if (learnt != nullptr && !learnt[t]) continue;
      if (!std::isfinite(loss[t])) {
        fail("evaluation: the loss is not finite; got {} at token {} of a window of '{}'; expected a number", loss[t],
             t + 1, sources_[source].name);
      }
      sums.nll += loss[t];
      ++sums.tokens;
      if (token[t] < 256) ++sums.text_tokens;
      documents_.add(static_cast<std::int32_t>(source), document[t], loss[t]);
    }
  }
}

double Tally::bytes_of(std::size_t source, ByteCount& how) const {
  const Sums& sums = sums_[source];
  const TokenFile& file = sources_[source].tokens;
  if (byte_tokens_) {
    how = ByteCount::exact;  // every token is a byte, but for the ends of documents
    return static_cast<double>(sums.text_tokens);
  }
  const std::optional<std::int64_t> bytes = file.text_bytes();
  how = bytes ? ByteCount::proportional : ByteCount::unknown;
  if (!bytes || file.size() == 0) return 0.0;
  return static_cast<double>(*bytes) / static_cast<double>(file.size()) * static_cast<double>(sums.tokens);
}

void Tally::finish(EvalResult& result) const {
  Sums all;
  std::int64_t all_documents = 0;
  double all_bytes = 0.0;
  result.bytes = ByteCount::exact;
  std::vector<std::int64_t> documents(sums_.size(), 0);
  for (const std::int32_t source : documents_.source) ++documents[static_cast<std::size_t>(source)];
  for (std::size_t i = 0; i < sums_.size(); ++i) {
    const Sums& sums = sums_[i];
    ByteCount how;
    const double bytes = bytes_of(i, how);
    result.sources.emplace_back(sources_[i].name, measure_of(sums.nll, bytes, sums.tokens, documents[i]));
    result.bytes = std::max(result.bytes, how);
    all.nll += sums.nll, all.tokens += sums.tokens, all_documents += documents[i], all_bytes += bytes;
  }
  if (all.tokens == 0)
    fail("evaluation: nothing to predict; got 0 tokens that the loss mask keeps; expected at least 1");
  result.all = measure_of(all.nll, result.bytes == ByteCount::unknown ? 0.0 : all_bytes, all.tokens, all_documents);
  result.nll = result.all.nll;
  result.documents = documents_;
}

}  // namespace espalier
