// SPDX-License-Identifier: Apache-2.0
// Skew KL divergence: Jongwoo Ko, Sungnyun Kim, Tianyi Chen, Se-Young Yun, "DistiLLM: Towards Streamlined Distillation
// for Large Language Models", ICML 2024, arXiv:2402.03898, section 3.1.
//
//   L = KL(p ‖ m) = Σ_k p_k (log p_k - log m_k),   m = α p + (1 - α) q,   p the teacher, q = softmax(z) the student
//
// m ≥ α p, so that no token costs more than log 1/α, however little the student gives it. α = 0 is forward KL.
// The gradient, by hand:
//
//   ∂L/∂q_k = -(1 - α) p_k / m_k            and of the softmax   ∂q_k/∂z_j = q_k ([k = j] - q_j)
//   ∂L/∂z_j = Σ_k ∂L/∂q_k ∂q_k/∂z_j = q_j Σ_k r_k - r_j   with   r_k = (1 - α) p_k q_k / m_k
//
// r ≤ (1 - α) q / α is bounded too. For α = 0, r = p and Σ r = 1: the q - p of forward KL.
#include <cmath>
#include <limits>

#include <ATen/core/Tensor.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/TensorOperators.h>
#include <espalier/sdk/sdk.hpp>

namespace {

struct SkewKlOptions {
  double alpha;
  template <class V>
  void fields(V& v) {
    v("alpha", alpha, 0.1, espalier::between(0.0, 0.99), "share of the teacher in the student's side; 0: forward KL");
  }
};

class SkewKl final : public espalier::LogitLoss {
 public:
  using Options = SkewKlOptions;
  explicit SkewKl(const Options& options) : teacher_(std::log(options.alpha)), student_(std::log1p(-options.alpha)) {}

  bool needs_teacher() const override { return true; }

  at::Tensor forward(const espalier::LogitRows& rows) const override {
    const at::Tensor p = log_probabilities(rows.teacher);
    return (p.exp() * (p - mixture(p, log_probabilities(rows.student)))).sum(-1);
  }

  bool gradient(const espalier::LogitRows& rows, double scale, at::Tensor& loss, at::Tensor& gradient) const override {
    const at::Tensor p = log_probabilities(rows.teacher), q = log_probabilities(rows.student), m = mixture(p, q);
    loss.copy_((p.exp() * (p - m)).sum(-1));
    const at::Tensor r = (q - m + p + student_).exp();
    gradient.add_(q.exp() * r.sum(-1, true) - r, scale);
    return true;
  }

 private:
  // A column that both sides mask with -inf would give inf - inf; the lowest finite number gives 0.
  static at::Tensor log_probabilities(const at::Tensor& logits) {
    return at::log_softmax(logits, -1).clamp_min(std::numeric_limits<float>::lowest());
  }

  // log m; in logarithms, since a probability of float32 may round to 0.
  at::Tensor mixture(const at::Tensor& p, const at::Tensor& q) const {
    return at::logaddexp(p + teacher_, q + student_);
  }

  double teacher_, student_;  // log α, log (1 - α)
};

}  // namespace

ESPALIER_PLUGIN("skew_kl", "0.1.0", registrar) {
  registrar.add<SkewKl>("skew_kl",
                        "KL divergence from the teacher to alpha teacher + (1 - alpha) student (Ko et al. 2024)");
}
