// SPDX-License-Identifier: Apache-2.0
#include "core/train/train_step.hpp"

#include <algorithm>

#include <ATen/ops/cat.h>
#include <ATen/ops/full_like.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"

namespace espalier {
namespace {

// The head, or the embedding that stands for it.
std::size_t head_index(const Model& model) {
  const std::vector<Parameter>& parameters = model.parameters();
  const auto with_role = [&](Role role) {
    return std::find_if(parameters.begin(), parameters.end(), [&](const Parameter& p) { return p.role == role; });
  };
  auto found = with_role(Role::head);
  if (found == parameters.end()) found = with_role(Role::embed);
  ESPALIER_CHECK(found != parameters.end(), "a model without embedding");
  return static_cast<std::size_t>(found - parameters.begin());
}

FeatureTerms feature_terms(const TrainJob& job) {
  const WeightSource& teacher = job.teacher != nullptr ? *job.teacher : *job.student;  // not asked without such losses
  return {job.feature_losses, job.student->spec(), teacher.spec(), job.student->compute().device};
}

std::vector<at::Tensor> trainable(Model& model, const FeatureTerms& features) {
  model.set_requires_grad(true);
  std::vector<at::Tensor> tensors = model.tensors();
  for (at::Tensor& parameter : features.parameters()) tensors.push_back(std::move(parameter));
  return tensors;
}

// The head adds to its gradient chunk by chunk: in float32.
AdamWOptions optimizer_options(const TrainPlan& plan, std::size_t head) {
  return {plan.beta1, plan.beta2, plan.eps, plan.weight_decay, plan.moments, plan.gradients, {head}};
}

// The tensors that there are of what the teacher says, in a fixed order.
template <class Visit>
void each_tensor(CachedRows& rows, Features& features, const Visit& visit) {
  for (at::Tensor* x : {&rows.hidden, &rows.kept.values, &rows.kept.indices, &rows.kept.tail, &rows.kept.normalizer}) {
    if (x->defined()) visit(*x);
  }
  for (auto& [feature, x] : features) visit(x);
}

template <class Terms>
std::vector<double> weights_of(const Terms& terms) {
  std::vector<double> weights;
  for (const auto& term : terms) weights.push_back(term.weight);
  return weights;
}

}  // namespace

TrainStep::TrainStep(TrainJob& job)
    : job_(job),
      plan_(job.plan),
      comm_(*job.comm),
      device_(job.student->compute().device),
      features_(feature_terms(job)),
      head_(head_index(*job.student)),
      optimizer_(trainable(*job.student, features_), optimizer_options(plan_, head_), comm_),
      numbers_(weights_of(job.losses), weights_of(job.feature_losses), device_),
      beside_(device_),
      whole_scale_(1.0 / static_cast<double>(plan_.global_batch * plan_.seq_length)) {
  needs_teacher_ =
      std::any_of(job.losses.begin(), job.losses.end(), [](const auto& term) { return term.loss->needs_teacher(); });
  if (needs_teacher_ && (job.teacher_cache == nullptr || job.teacher_cache->form().whole())) {
    ESPALIER_CHECK(job.teacher != nullptr, "a loss needs a teacher");
    teacher_head_ = job.teacher->outer()[Role::head];
  }
  make_replayed();
}

void TrainStep::make_replayed() {
  // A balance reads its losses, and weights that are read layer by layer come from the host.
  if (!plan_.cuda_graph || plan_.dynamic_balance || kernels_of(device_) == nullptr) return;
  if (dynamic_cast<Model*>(job_.teacher) != nullptr) {
    replayed_teacher_.emplace([this](const Replayed::Tensors& in) {
      TeacherSays says = teacher_pass(in.front());
      Replayed::Tensors out;
      each_tensor(says.rows, says.features, [&](const at::Tensor& x) { out.push_back(x); });
      return out;
    });
  }
  replayed_student_.emplace([this](const Replayed::Tensors& in) {
    TeacherSays theirs = pattern_;
    std::size_t next = 2;
    each_tensor(theirs.rows, theirs.features, [&](at::Tensor& x) { x = in[next++]; });
    student_pass({0, in[0], in[1], {}}, std::move(theirs), whole_scale_);
    return Replayed::Tensors{};
  });
}

TrainStep::~TrainStep() { job_.student->set_requires_grad(false); }

std::vector<std::string> TrainStep::parameter_names() const {
  std::vector<std::string> names;
  for (const Parameter& parameter : job_.student->parameters()) names.push_back(parameter.name);
  for (std::string& name : features_.parameter_names()) names.push_back(std::move(name));
  return names;
}

StepValues TrainStep::run(std::int64_t number, double learning_rate, bool more,
                          const std::function<void(const StepValues&)>& accept) {
  numbers_.start();
  optimizer_.zero_gradients();
  Sequences now = ahead_.step == number ? std::move(ahead_) : sequences_of(number);
  const std::int64_t learnt = job_.data->learnt(number * plan_.global_batch, plan_.global_batch);
  const double scale = learnt > 0 ? 1.0 / static_cast<double>(learnt) : 0.0;
  for (const MicroBatch& part : now.parts) {
    learn(part, &part == &now.parts.front() ? std::move(now.of_first) : ask_teacher(part), scale);
  }
  beside_.fork([&] {
    optimizer_.reduce_gradients();
    numbers_.add_up(optimizer_.gradient_squares(), interrupted(), comm_);
  });
  ahead_ = more ? sequences_of(number + 1) : Sequences{};
  StepValues values;
  beside_.run([&] { values = numbers_.read(); });
  values.learning_rate = learning_rate;
  accept(values);
  const bool clip = plan_.clip_grad > 0 && values.gradient_norm > plan_.clip_grad;
  beside_.run([&] { optimizer_.step(learning_rate, clip ? plan_.clip_grad / values.gradient_norm : 1.0); });
  beside_.join();
  return values;
}

// The first share of a step's micro-batches is rank 0's.
TrainStep::Sequences TrainStep::sequences_of(std::int64_t step) {
  const std::int64_t share = plan_.global_batch / comm_.size();
  const std::int64_t first = step * plan_.global_batch + comm_.rank() * share;
  Sequences sequences{step, micro_batches(*job_.data, first, share, plan_.micro_batch, device_), {}};
  sequences.of_first = ask_teacher(sequences.parts.front());
  return sequences;
}

TrainStep::TeacherSays TrainStep::ask_teacher(const MicroBatch& part) {
  TeacherSays says{{}, features_.wanted_of_teacher()};
  if (job_.teacher_cache != nullptr) {
    if (!needs_teacher_) return says;
    std::vector<TrainingStream::Place> places;
    for (std::int64_t i = 0; i < part.tokens.size(0); ++i) places.push_back(job_.data->place(part.first + i));
    says.rows = job_.teacher_cache->rows(places, job_.student->compute());
  } else if (needs_teacher_ || !says.features.empty()) {
    if (!replayed_teacher_) return teacher_pass(part.tokens);
    const Replayed::Tensors said = (*replayed_teacher_)({part.tokens});
    says.rows.hidden = said.front();
    std::size_t next = 1;
    for (auto& [feature, x] : says.features) x = said[next++];
  }
  return says;
}

TrainStep::TeacherSays TrainStep::teacher_pass(const at::Tensor& tokens) {
  const at::NoGradGuard no_grad;
  TeacherSays says{{}, features_.wanted_of_teacher()};
  says.rows.hidden = hidden_states(*job_.teacher, tokens, nullptr, &says.features).flatten(0, 1);
  return says;
}

void TrainStep::learn(const MicroBatch& part, TeacherSays theirs, double scale) {
  if (!replayed_student_ || part.kept.defined() || scale != whole_scale_) {
    student_pass(part, std::move(theirs), scale);
    return;
  }
  Replayed::Tensors in{part.tokens, part.labels};
  each_tensor(theirs.rows, theirs.features, [&](at::Tensor& x) {
    in.push_back(x);
    x = part.tokens;  // of the pattern no more is asked than which tensors there are
  });
  pattern_ = std::move(theirs);
  (*replayed_student_)(in);
}

// Forward and backward of a few sequences: adds to the gradients and to the step's numbers.
void TrainStep::student_pass(const MicroBatch& part, TeacherSays theirs, double scale) {
  Features ours = features_.wanted_of_student();
  at::AutoGradMode grad_mode(true);
  const at::Tensor hidden = hidden_states(*job_.student, part.tokens, nullptr, &ours, plan_.recompute);
  std::vector<at::Tensor> losses, roots, gradients;
  if (!job_.losses.empty()) {
    HeadOutput output = run_head(hidden, std::move(theirs.rows), part, scale);
    losses.push_back(output.losses);
    roots.push_back(hidden);
    gradients.push_back(output.hidden_gradient.view_as(hidden));
  }
  const FeatureTerms::Values values = features_.evaluate(ours, theirs.features, part.kept, scale);
  if (values.losses.defined()) losses.push_back(values.losses);
  const at::Tensor all = at::cat(losses);
  const double alpha = plan_.dynamic_balance ? numbers_.balance(all) : 1.0;
  if (values.total.defined() && values.total.requires_grad() && alpha > 0.0) {
    roots.push_back(values.total);
    gradients.push_back(at::full_like(values.total, alpha));
  }
  torch::autograd::backward(roots, gradients);
  numbers_.add(all, alpha, static_cast<double>(plan_.micro_batch) / static_cast<double>(plan_.global_batch));
}

HeadOutput TrainStep::run_head(const at::Tensor& hidden, CachedRows teacher, const MicroBatch& part, double scale) {
  HeadInput input;
  if (needs_teacher_) {
    input.teacher_hidden = std::move(teacher.hidden);
    input.teacher_weight = teacher_head_;
    input.teacher_kept = std::move(teacher.kept);
  }
  input.student_hidden = hidden.detach().flatten(0, 1);
  input.student_weight = job_.student->tensors()[head_];
  input.labels = part.labels.flatten();
  input.kept = part.kept;
  input.scale = scale;
  input.chunk = plan_.head_chunk > 0 ? plan_.head_chunk : default_head_chunk(input.student_weight.size(0), device_);
  return distillation_head(input, job_.losses, optimizer_.gradient(head_), &workspace_);
}

}  // namespace espalier
