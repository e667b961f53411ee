// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "softened.hpp"

namespace espalier::plugins {

struct TopkKlOptions : SoftenedOptions {
  std::int64_t k;
  std::string tail;
  template <class V>
  void fields(V& v) {
    v("k", k, 1024, at_least(1.0),
      "columns compared: where the teacher's probabilities are largest; all if there are fewer");
    v("tail", tail, "drop", one_of({"drop", "bucket"}),
      "the other columns: drop (both sides add up to 1 over the k), or bucket (they count as one class)");
    SoftenedOptions::fields(v);
  }
};

// Forward KL over the K columns where the teacher is largest. With the tail dropped p' and q' are normalised over the
// K; slope q' − p' there, 0 elsewhere. With a bucket the classes are the K and the rest with the mass P and Q: slope
// q − p in the K, q (1 − P/Q) in the rest.
class TopkKlLoss final : public SoftenedLoss {
 public:
  using Options = TopkKlOptions;
  explicit TopkKlLoss(const Options& options)
      : SoftenedLoss(options), k_(options.k), bucket_(options.tail == "bucket") {}

 protected:
  at::Tensor value(const at::Tensor& log_p, const at::Tensor& log_q) const override;
  at::Tensor slope(at::Tensor& log_p, at::Tensor& log_q) const override;

 private:
  at::Tensor columns(const at::Tensor& log_p) const;  // (rows, K) the teacher's largest
  at::Tensor classes(const at::Tensor& log_x, const at::Tensor& columns) const;
  std::int64_t k_;
  bool bucket_;
};

}  // namespace espalier::plugins
