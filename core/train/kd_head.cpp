// SPDX-License-Identifier: Apache-2.0
#include "core/train/kd_head.hpp"

#include <algorithm>
#include <limits>

#include <ATen/ops/empty.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/base/error.hpp"
#include "core/forward/logit_rows.hpp"
#include "core/ops/device_kernels.hpp"
#include "core/ops/ops.hpp"

namespace espalier {
namespace {

// Shape letters: R rows of a chunk, V vocabulary, H hidden of the student, T hidden of the teacher.

// Of one matrix of logits on a GPU for losses that are not fused, whatever they need beside it.
constexpr std::int64_t kLossBytes = std::int64_t{32} << 20;

// The first rows of a buffer that is made anew only when it is too small or of another kind.
at::Tensor rows_of(at::Tensor& buffer, std::int64_t rows, std::int64_t columns, const at::TensorOptions& options) {
  const bool fits = buffer.defined() && buffer.size(0) >= rows && buffer.size(1) == columns &&
                    buffer.scalar_type() == options.dtype() && buffer.device() == options.device();
  if (!fits) {
    buffer = at::Tensor();  // before the new one is taken
    buffer = at::empty({rows, columns}, options);
  }
  return buffer.narrow(0, 0, rows);
}

void check_row_losses(const at::Tensor& row_losses, std::int64_t rows, const std::string& name) {
  if (!row_losses.defined() || row_losses.dim() != 1 || row_losses.size(0) != rows) {
    fail("loss '{}': its value has a wrong shape; got {}; expected ({}), one number for each row", name,
         row_losses.defined() ? fmt::format("({})", fmt::join(row_losses.sizes(), ", ")) : "nothing", rows);
  }
}

// Differentiates forward() on the chunk's logits. Returns the rows' losses, adds scale × gradient to `gradient_RV`.
at::Tensor by_autograd(const WeightedLoss& term, const LogitRows& rows, double scale, at::Tensor& gradient_RV) {
  at::AutoGradMode grad_mode(true);
  const at::Tensor leaf_RV = rows.student.detach().requires_grad_();
  const at::Tensor row_losses = term.loss->forward({leaf_RV, rows.teacher, rows.labels});
  check_row_losses(row_losses, leaf_RV.size(0), term.name);
  if (!row_losses.requires_grad()) return row_losses;
  const auto gradients = torch::autograd::grad({row_losses}, {leaf_RV}, {at::full_like(row_losses, scale)},
                                               /*retain_graph=*/false, /*create_graph=*/false, /*allow_unused=*/true);
  at::NoGradGuard no_grad;
  if (gradients[0].defined()) gradient_RV.add_(gradients[0]);
  return row_losses.detach();
}

class Sweep {
 public:
  Sweep(const HeadInput& input, const std::vector<WeightedLoss>& losses, at::Tensor& weight_gradient,
        HeadWorkspace& workspace)
      : input_(input), losses_(losses), fused_(losses), weight_gradient_(weight_gradient), workspace_(workspace) {
    with_teacher_ = std::any_of(losses.begin(), losses.end(), [](const auto& l) { return l.loss->needs_teacher(); });
    const bool exact = input.student_hidden.scalar_type() == at::kDouble;
    wide_ = input.student_hidden.options().dtype(exact ? at::kDouble : at::kFloat).requires_grad(false);
    fuses_ = fused_.any() && !exact && device_kernels(input.student_hidden) != nullptr;
    check();
  }

  HeadOutput run() {
    const at::Tensor hidden_RH = input_.student_hidden.detach();
    const bool all = !input_.kept.defined();
    const std::int64_t left = all ? hidden_RH.size(0) : input_.kept.size(0);

    HeadOutput output;
    output.hidden_gradient = all ? at::empty_like(hidden_RH, at::MemoryFormat::Contiguous)
                                 : at::zeros(hidden_RH.sizes(), hidden_RH.options());
    sums_ = at::zeros({static_cast<std::int64_t>(losses_.size())}, wide_.dtype(at::kDouble));
    for (std::int64_t begin = 0; begin < left; begin += input_.chunk) {
      chunk(begin, std::min(input_.chunk, left - begin), output.hidden_gradient);
    }
    output.losses = sums_.mul_(input_.scale);
    return output;
  }

 private:
  void check() const {
    const HeadInput& in = input_;
    ESPALIER_CHECK(in.chunk > 0, "chunk is ", in.chunk);
    ESPALIER_CHECK(in.student_hidden.dim() == 2 && in.student_weight.dim() == 2 && in.labels.dim() == 1, "ranks");
    ESPALIER_CHECK(
        in.student_hidden.size(1) == in.student_weight.size(1) && in.student_hidden.size(0) == in.labels.size(0) &&
            weight_gradient_.sizes() == in.student_weight.sizes() && weight_gradient_.scalar_type() == wide_.dtype(),
        "student");
    if (!with_teacher_) return;
    if (in.teacher_kept.defined()) {
      ESPALIER_CHECK(in.teacher_kept.values.size(0) == in.labels.size(0), "rows of the teacher");
      return;
    }
    ESPALIER_CHECK(in.teacher_hidden.defined() && in.teacher_weight.defined(), "a loss needs the teacher");
    if (in.teacher_weight.size(0) != in.student_weight.size(0)) {
      fail(
          "distillation: teacher and student have different vocabularies; got {} tokens in the teacher and {} in the "
          "student; expected the same tokenizer for both",
          in.teacher_weight.size(0), in.student_weight.size(0));
    }
    ESPALIER_CHECK(in.teacher_hidden.dim() == 2 && in.teacher_hidden.size(0) == in.labels.size(0) &&
                       in.teacher_hidden.size(1) == in.teacher_weight.size(1),
                   "teacher");
  }

  // Rows [begin, begin + count) of those that are kept: a view when nothing is dropped.
  at::Tensor take(const at::Tensor& tensor, std::int64_t begin, std::int64_t count) const {
    if (!input_.kept.defined()) return tensor.narrow(0, begin, count);
    return tensor.index_select(0, input_.kept.narrow(0, begin, count));
  }

  void chunk(std::int64_t begin, std::int64_t count, at::Tensor& hidden_gradient) {
    const std::int64_t vocab = input_.student_weight.size(0);
    const at::Tensor weight_VH = input_.student_weight.detach();
    const at::Tensor hidden_RH = take(input_.student_hidden.detach(), begin, count);
    const at::Tensor labels_R = take(input_.labels, begin, count);
    at::Tensor student_RV = rows_of(workspace_.student_logits, count, vocab, wide_);
    head_logits(student_RV, hidden_RH, weight_VH);
    at::Tensor teacher_RV;
    if (with_teacher_) {
      teacher_RV = rows_of(workspace_.teacher_logits, count, vocab, wide_);
      teacher_logits(begin, count, teacher_RV);
    }
    const bool at_once = fuses_ && fused_.all();  // nothing is added: the gradient is rounded where it is made
    at::Tensor gradient_RV = rows_of(workspace_.gradient, count, vocab, at_once ? hidden_RH.options() : wide_);
    run_losses({student_RV, teacher_RV, labels_R}, gradient_RV);

    const at::Tensor narrow_RV = gradient_RV.to(hidden_RH.scalar_type());
    product_into(weight_gradient_, narrow_RV.t(), hidden_RH, true);
    if (input_.kept.defined()) {
      hidden_gradient.index_copy_(0, input_.kept.narrow(0, begin, count), product(narrow_RV, weight_VH));
    } else {
      at::Tensor out_RH = hidden_gradient.narrow(0, begin, count);
      product_into(out_RH, narrow_RV, weight_VH, false);
    }
  }

  void teacher_logits(std::int64_t begin, std::int64_t count, at::Tensor& teacher_RV) const {
    const TruncatedLogits& kept = input_.teacher_kept;
    if (!kept.defined()) {
      return head_logits(teacher_RV, take(input_.teacher_hidden, begin, count), input_.teacher_weight);
    }
    expand({take(kept.values, begin, count), take(kept.indices, begin, count), take(kept.tail, begin, count),
            take(kept.normalizer, begin, count)},
           teacher_RV);
  }

  void run_losses(const LogitRows& rows, at::Tensor& gradient_RV) {
    const std::int64_t count = rows.student.size(0);
    fuses_ ? fused_.run(rows, input_.scale, gradient_RV, sums_) : static_cast<void>(gradient_RV.zero_());
    for (std::size_t i = 0; i < losses_.size(); ++i) {
      if (fuses_ && fused_.takes(i)) continue;
      at::Tensor row_losses = rows_of(workspace_.row_losses, count, 1, wide_).squeeze(1);
      const std::int64_t block = loss_rows(rows.student.size(1), rows.student.device());
      for (std::int64_t begin = 0; begin < count; begin += block) {
        run_loss(losses_[i], rows, begin, std::min(block, count - begin), row_losses, gradient_RV);
      }
      sums_[static_cast<std::int64_t>(i)].add_(row_losses.sum(at::kDouble));
    }
  }

  void run_loss(const WeightedLoss& term, const LogitRows& rows, std::int64_t begin, std::int64_t count,
                at::Tensor& row_losses, at::Tensor& gradient_RV) const {
    const auto part = [&](const at::Tensor& all) { return all.defined() ? all.narrow(0, begin, count) : all; };
    const at::Tensor student = part(rows.student), teacher = part(rows.teacher), labels = part(rows.labels);
    at::Tensor place = part(row_losses), found = place, gradient = part(gradient_RV);
    const double scale = term.weight * input_.scale;
    if (!term.loss->gradient({student, teacher, labels}, scale, found, gradient)) {
      found = by_autograd(term, {student, teacher, labels}, scale, gradient);
    }
    check_row_losses(found, count, term.name);
    if (!found.is_same(place)) place.copy_(found);
  }

  const HeadInput& input_;
  const std::vector<WeightedLoss>& losses_;
  FusedLosses fused_;
  at::Tensor& weight_gradient_;
  HeadWorkspace& workspace_;
  bool with_teacher_ = false, fuses_ = false;
  at::TensorOptions wide_;  // float32 on the student's device
  at::Tensor sums_;         // of each loss over rows, float64, on the device
};

}  // namespace

HeadOutput distillation_head(const HeadInput& input, const std::vector<WeightedLoss>& losses,
                             at::Tensor& weight_gradient, HeadWorkspace* workspace) {
  at::NoGradGuard no_grad;
  HeadWorkspace own;
  return Sweep(input, losses, weight_gradient, workspace != nullptr ? *workspace : own).run();
}

void head_logits(at::Tensor& logits, const at::Tensor& hidden, const at::Tensor& weight) {
  product_into(logits, hidden, weight.t(), false);
}

std::int64_t default_head_chunk(std::int64_t vocab, at::Device device) {
  return std::clamp<std::int64_t>(rows_of_logits(vocab, device), 128, 8192);
}

std::int64_t loss_rows(std::int64_t vocab, at::Device device) {
  if (device.is_cpu()) return std::numeric_limits<std::int64_t>::max();
  return std::max<std::int64_t>(1, kLossBytes / (4 * vocab));
}

}  // namespace espalier
