// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "core/eval/evaluate.hpp"
#include "core/eval/window_list.hpp"

namespace espalier {

// Adds up losses source by source and document by document, in the order of the windows.
class Tally {
 public:
  Tally(const std::vector<TokenSource>& sources, const std::string& tokenizer);
  void add(const WindowList::Batch& batch, const at::Tensor& nll);  // (windows, seq-1)
  void finish(EvalResult& result) const;

 private:
  struct Sums {
    double nll = 0.0;
    std::int64_t tokens = 0, text_tokens = 0;  // text_tokens: below 256
  };
  double bytes_of(std::size_t source, ByteCount& how) const;
  const std::vector<TokenSource>& sources_;
  bool byte_tokens_;
  std::vector<Sums> sums_;
  DocumentLosses documents_;  // windows ascend, so documents do
};

}  // namespace espalier
