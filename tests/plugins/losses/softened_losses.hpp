// SPDX-License-Identifier: Apache-2.0
// All losses between softened distributions, by name, and the same values from formulas written another way.
#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "plugins/losses/cosine.hpp"
#include "plugins/losses/jsd.hpp"
#include "plugins/losses/kl.hpp"
#include "plugins/losses/mse.hpp"
#include "plugins/losses/reverse_kl.hpp"
#include "plugins/losses/topk_kl.hpp"
#include "plugins/losses/tvd.hpp"
#include "tests/plugins/losses/rows.hpp"
#include "tests/plugins/options.hpp"

namespace espalier {

// A loss, its options, and what it is of p and q (rows, vocab) in float64.
struct SoftenedKind {
  std::string name;
  std::unique_ptr<LogitLoss> (*make)(TestOptions);
  TestOptions options;
  at::Tensor (*formula)(const at::Tensor& p, const at::Tensor& q);

  std::unique_ptr<LogitLoss> at(double temperature, bool t_squared = false) const {
    TestOptions all = options;
    all.set("temperature", Value{temperature});
    all.set("t_squared", Value{t_squared});
    return make(all);
  }
};

template <class T>
std::unique_ptr<LogitLoss> logit_loss(TestOptions options) {
  return std::make_unique<T>(parse_options<typename T::Options>(options));
}

inline TestOptions topk(std::int64_t k, const char* tail) { return {{"k", Value{k}}, {"tail", text(tail)}}; }
inline TestOptions jsd(double beta) { return {{"beta", Value{beta}}}; }

namespace formula {

using at::Tensor;

inline Tensor kl(const Tensor& p, const Tensor& q) { return (p * (p / q).log()).sum(-1); }

inline Tensor jsd_3_10(const Tensor& p, const Tensor& q) {
  const Tensor m = 0.3 * p + 0.7 * q;
  return 0.3 * kl(p, m) + 0.7 * kl(q, m);
}

// The three columns where p is largest, and if wanted all others as one.
inline Tensor top3(const Tensor& p, const Tensor& x, bool bucket) {
  const Tensor chosen = p.argsort(-1, /*descending=*/true).narrow(-1, 0, 3), kept = x.gather(-1, chosen);
  if (!bucket) return kept / kept.sum(-1, true);
  return at::cat({kept, 1.0 - kept.sum(-1, true)}, -1);
}

}  // namespace formula

inline std::vector<SoftenedKind> softened_kinds() {
  using at::Tensor;
  using namespace plugins;
  std::vector<SoftenedKind> kinds;
  kinds.push_back({"kl", logit_loss<KlLoss>, {}, formula::kl});
  kinds.push_back({"reverse_kl", logit_loss<ReverseKlLoss>, {}, [](const Tensor& p, const Tensor& q) {
                     return formula::kl(q, p);
                   }});
  kinds.push_back({"jsd 0.3", logit_loss<JsdLoss>, jsd(0.3), formula::jsd_3_10});
  kinds.push_back({"jsd 0", logit_loss<JsdLoss>, jsd(0.0), formula::kl});
  kinds.push_back(
      {"jsd 1", logit_loss<JsdLoss>, jsd(1.0), [](const Tensor& p, const Tensor& q) { return formula::kl(q, p); }});
  kinds.push_back({"tvd", logit_loss<TvdLoss>, {}, [](const Tensor& p, const Tensor& q) {
                     return 1.0 - at::minimum(p, q).sum(-1);
                   }});
  kinds.push_back({"mse", logit_loss<MseLoss>, {}, [](const Tensor& p, const Tensor& q) {
                     return (p.square() - 2.0 * p * q + q.square()).sum(-1) / p.size(-1);
                   }});
  kinds.push_back({"cosine", logit_loss<CosineLoss>, {}, [](const Tensor& p, const Tensor& q) {
                     return 1.0 - at::cosine_similarity(p, q, -1);
                   }});
  kinds.push_back({"topk_kl drop", logit_loss<TopkKlLoss>, topk(3, "drop"), [](const Tensor& p, const Tensor& q) {
                     return formula::kl(formula::top3(p, p, false), formula::top3(p, q, false));
                   }});
  kinds.push_back({"topk_kl bucket", logit_loss<TopkKlLoss>, topk(3, "bucket"), [](const Tensor& p, const Tensor& q) {
                     return formula::kl(formula::top3(p, p, true), formula::top3(p, q, true));
                   }});
  return kinds;
}

// Logits with neither ties nor a pattern that repeats.
inline at::Tensor wavy_logits(std::int64_t rows, std::int64_t vocab, double phase, at::ScalarType dtype = at::kFloat) {
  return (at::sin(at::arange(rows * vocab, at::kDouble) * 1.7 + phase) * 3).view({rows, vocab}).to(dtype);
}

}  // namespace espalier
