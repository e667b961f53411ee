// SPDX-License-Identifier: Apache-2.0
#include "core/prune/verify.hpp"

#include <ATen/ATen.h>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/forward/model.hpp"
#include "core/prune/blocks.hpp"
#include "core/prune/masked_teacher.hpp"
#include "core/prune/slicer.hpp"

namespace espalier {

namespace {

const Compute kExact{at::kDouble, at::kCPU};

// Both models advance layer by layer; after each common point their states are compared.
class StateComparison {
 public:
  StateComparison(const Plan& plan, VerifyReport& report)
      : kept_(kept_positions(plan, -1, {Dim::hidden})), report_(report) {}

  // Returns false when the states differ.
  bool equal(const at::Tensor& masked, const at::Tensor& sliced, const std::string& where) {
    const at::Tensor expected = kept_ ? masked.index_select(-1, at::tensor(*kept_, at::kLong)) : masked;
    const double scale = std::max(1e-30, expected.abs().max().item<double>());
    const double difference = (expected - sliced).abs().max().item<double>() / scale;
    report_.largest_difference = std::max(report_.largest_difference, difference);
    ++report_.states;
    if (difference <= kVerifyTolerance) return true;  // false for NaN
    report_.problems.push_back(fmt::format(
        "{}: hidden states of the student and the masked teacher differ; got a relative difference of {:.3g}; "
        "expected at most {:.0e}",
        where, difference, kVerifyTolerance));
    return false;
  }

 private:
  std::optional<Indices> kept_;
  VerifyReport& report_;
};

std::string layer_name(std::int64_t student, std::int64_t teacher) {
  return fmt::format("layer {} (the teacher's layer {})", student, teacher);
}

}  // namespace

void verify_tensors(const Checkpoint& teacher, const Plan& plan, const Checkpoint& student, VerifyReport& report) {
  for (const Parameter& parameter : student.parameters()) {
    ++report.tensors;
    const TensorSlice slice(teacher, plan, parameter);
    const at::Tensor got = student.tensor(parameter);
    for (std::int64_t i = 0; i < slice.blocks(); ++i) {
      throw_if_interrupted();
      const at::Tensor expected = slice.block(i).to(got.scalar_type());
      const at::Tensor rows = got.narrow(0, slice.first_row(i), expected.size(0));
      teacher.forget(slice.source());
      if (at::equal(rows, expected)) continue;
      const at::Tensor at = at::nonzero(rows.ne(expected));
      if (at.size(0) == 0) continue;  // NaN in the same places on both sides compares unequal but is a copy
      std::string place = std::to_string(slice.first_row(i) + at[0][0].item<std::int64_t>());
      if (rows.dim() == 2) place += ", " + std::to_string(at[0][1].item<std::int64_t>());
      const auto value = [&](const at::Tensor& tensor) {
        const at::Tensor row = tensor[at[0][0].item<std::int64_t>()];
        return (rows.dim() == 2 ? row[at[0][1].item<std::int64_t>()] : row).item<double>();
      };
      const std::string where =
          parameter.layer < 0 ? std::string("outside the layers") : layer_name(parameter.layer, slice.source().layer);
      report.problems.push_back(fmt::format("{}: tensor {} is not the teacher's kept part; at [{}] got {}; expected {}",
                                            where, parameter.name, place, value(rows), value(expected)));
      break;
    }
    student.forget(parameter);
  }
}

void verify_states(const Checkpoint& teacher, const Plan& plan, const Checkpoint& student, const at::Tensor& tokens,
                   VerifyReport& report) {
  at::NoGradGuard no_grad;
  FoldedTeacher teacher_weights(teacher, plan, kExact);
  StreamedWeights student_weights(student, kExact);
  const Weights teacher_outer = teacher_weights.outer(), student_outer = student_weights.outer();
  const ModelSpec masked_spec = without_blocks(plan);
  MaskingHooks hooks(plan);
  StateComparison compare(plan, report);
  report.tokens += tokens.numel();

  at::Tensor masked = embed(teacher_outer, tokens, &hooks);
  at::Tensor sliced = embed(student_outer, tokens, nullptr);
  if (!compare.equal(masked, sliced, "embedding")) return;
  for (std::size_t i = 0; i < plan.layer_of.size(); ++i) {
    throw_if_interrupted();
    const std::int64_t of_teacher = plan.layer_of[i];
    const auto layer = static_cast<std::int64_t>(i);
    const auto run = [&](WeightSource& weights, const ModelSpec& spec, std::int64_t index, const at::Tensor& hidden,
                         Hooks* with) {
      const Rotary rotary = rotary_table(spec.rope, spec.layers[static_cast<std::size_t>(index)].head_dim,
                                         tokens.size(1), at::kDouble, at::kCPU);
      return decoder_layer(spec, index, weights.layer(index), rotary, hidden, with);
    };
    masked = run(teacher_weights, masked_spec, of_teacher, masked, &hooks);
    sliced = run(student_weights, student.spec(), layer, sliced, nullptr);
    if (!compare.equal(masked, sliced, layer_name(layer, of_teacher))) return;
  }
  masked = hooks.at_tap(Tap::norm_output, -1, final_norm(plan.teacher, teacher_outer, masked, &hooks));
  compare.equal(masked, final_norm(student.spec(), student_outer, sliced, nullptr), "final norm");
}

}  // namespace espalier
