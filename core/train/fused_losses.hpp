// SPDX-License-Identifier: Apache-2.0
// The losses of a head that are mixes of forward KL and cross entropy, together in one pass of the device over both
// rows of logits (core/ops/kl_rows.hpp).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "espalier/sdk/loss.hpp"

namespace espalier {

struct WeightedLoss {
  std::string name;
  double weight = 1.0;
  std::unique_ptr<LogitLoss> loss;
};

class FusedLosses {
 public:
  // Takes what one pass can do: all mixes, of those with a KL the ones that have the first one's temperature.
  explicit FusedLosses(const std::vector<WeightedLoss>& losses);

  bool any() const { return !mixes_.empty(); }
  bool all() const { return mixes_.size() == losses_; }
  bool takes(std::size_t loss) const;

  // Writes scale × the gradient of their weighted sum into `gradient` (rows, vocab), float32 or narrower, and adds each
  // one's sum over rows to its place in `sums` (losses) float64.
  void run(const LogitRows& rows, double scale, const at::Tensor& gradient, at::Tensor& sums) const;

 private:
  struct Mix {
    std::size_t loss;
    KlCeMix of;
  };
  std::vector<Mix> mixes_;
  std::size_t losses_;
  double temperature_ = 1.0, kl_ = 0.0, cross_entropy_ = 0.0;  // of the weighted sum
  bool with_cross_entropy_ = false;
};

}  // namespace espalier
