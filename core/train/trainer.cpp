// SPDX-License-Identifier: Apache-2.0
#include "core/train/trainer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/log.hpp"
#include "core/base/memory.hpp"
#include "core/base/progress.hpp"
#include "core/base/strings.hpp"
#include "core/train/check_job.hpp"
#include "core/train/event_log.hpp"
#include "core/train/memory.hpp"
#include "core/train/metrics_log.hpp"
#include "core/train/optimizer.hpp"
#include "core/train/train_checkpoint.hpp"

namespace espalier {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::vector<std::string> names_of(const Model& model, const FeatureTerms& features) {
  std::vector<std::string> names;
  for (const Parameter& parameter : model.parameters()) names.push_back(parameter.name);
  for (std::string& name : features.parameter_names()) names.push_back(std::move(name));
  return names;
}

// The parameter that is the output matrix: the head, or the embedding that stands for it.
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

// Names for the log: a loss that comes twice gets a number.
std::vector<std::string> log_names(const TrainJob& job) {
  std::vector<std::string> given, names;
  for (const WeightedLoss& term : job.losses) given.push_back(term.name);
  for (const WeightedFeatureLoss& term : job.feature_losses) given.push_back(term.name);
  for (auto name = given.begin(); name != given.end(); ++name) {
    const auto before = std::count(given.begin(), name, *name);
    names.push_back(before == 0 ? *name : fmt::format("{}_{}", *name, before + 1));
  }
  return names;
}

FeatureTerms feature_terms(const TrainJob& job) {
  const WeightSource& teacher = job.teacher != nullptr ? *job.teacher : *job.student;  // not asked without such losses
  return {job.feature_losses, job.student->spec(), teacher.spec(), job.student->compute().device};
}

class Session {
 public:
  explicit Session(TrainJob& job)
      : job_(job),
        plan_(job.plan),
        comm_(*job.comm),
        device_(job.student->compute().device),
        features_(feature_terms(job)),
        optimizer_(trainable(*job.student, features_), {plan_.beta1, plan_.beta2, plan_.eps, plan_.weight_decay},
                   comm_),
        checkpoints_(job.checkpoints, names_of(*job.student, features_), plan_.keep_last, plan_.save_every, plan_.steps,
                     comm_),
        head_(head_index(*job.student)),
        loss_names_(log_names(job)) {
    needs_teacher_ =
        std::any_of(job.losses.begin(), job.losses.end(), [](const auto& term) { return term.loss->needs_teacher(); });
    asks_head_ = needs_teacher_ && (job.teacher_cache == nullptr || job.teacher_cache->form().whole());
    ESPALIER_CHECK(!asks_head_ || job.teacher != nullptr, "a loss needs a teacher");
  }

  ~Session() { job_.student->set_requires_grad(false); }

  TrainResult run() {
    state_ = checkpoints_.load(optimizer_).value_or(TrainState{});
    if (state_.step > 0 && comm_.leads()) {
      spdlog::info("{}: goes on after step {} of {}", plan_.label, state_.step, plan_.steps);
    }
    earlier_seconds_ = state_.seconds;
    if (state_.step < plan_.steps) {
      began_ = Clock::now();
      if (asks_head_) teacher_head_ = job_.teacher->outer()[Role::head];
      loop();
    } else if (checkpoints_.last().empty()) {
      checkpoints_.save(state_, optimizer_);  // no steps at all: the start is the end
    }
    return {state_.step, state_.tokens, state_.seconds, earlier_seconds_};
  }

 private:
  struct StepValues {
    std::vector<double> losses;
    double total = 0.0, alpha = 0.0, learning_rate = 0.0, gradient_norm = 0.0;
    bool interrupted = false;
  };

  // Of rank 0; the others have none.
  struct Logs {
    std::optional<MetricsLog> metrics;
    std::optional<EventLog> events;
  };

  static std::vector<at::Tensor> trainable(Model& model, const FeatureTerms& features) {
    model.set_requires_grad(true);
    std::vector<at::Tensor> tensors = model.tensors();
    for (at::Tensor& parameter : features.parameters()) tensors.push_back(std::move(parameter));
    return tensors;
  }

  void loop() {
    Logs logs;
    if (comm_.leads()) logs.metrics.emplace(job_.metrics, state_.step);
    if (comm_.leads() && !job_.events.empty()) logs.events.emplace(job_.events, state_.step);
    std::optional<ProgressBar> bar;
    if (comm_.leads()) bar.emplace(plan_.label, plan_.steps, state_.step);
    while (state_.step < plan_.steps) {
      const Clock::time_point step_began = Clock::now();
      const StepValues values = step();
      ++state_.step;
      state_.tokens += plan_.global_batch * plan_.seq_length;
      unlogged_tokens_ += plan_.global_batch * plan_.seq_length;
      unlogged_seconds_ += seconds_since(step_began);
      finish_step(values, logs, bar);
    }
  }

  // Everything after the update: log, evaluation, checkpoint, signals.
  void finish_step(const StepValues& values, Logs& logs, std::optional<ProgressBar>& bar) {
    const bool last = state_.step == plan_.steps;
    const auto due = [&](std::int64_t every) { return every > 0 && (state_.step % every == 0 || last); };
    std::optional<double> nll;
    if (comm_.leads() && job_.evaluate && due(plan_.eval_every)) nll = evaluate();
    state_.seconds = earlier_seconds_ + seconds_since(began_);
    if (comm_.leads() && (due(plan_.log_every) || nll)) log(values, nll, logs);
    if (bar)
      bar->update(state_.step, fmt::format("loss {:.4f}, {} tokens/s", values.total, human_count(tokens_per_second_)));
    if (job_.on_step) job_.on_step(state_.step);

    // Of several ranks all stop, after the step in whose sums one told of a signal.
    const bool stop = (comm_.alone() ? interrupted() : values.interrupted) && !last;
    if (due(plan_.save_every) || last || stop) {
      if (logs.metrics) logs.metrics->sync();
      if (logs.events) logs.events->sync();
      checkpoints_.save(state_, optimizer_);
    }
    if (stop) {
      throw Interrupted(fmt::format("{}: stopped by a signal after step {} of {}; the same command goes on from there",
                                    plan_.label, state_.step, plan_.steps));
    }
  }

  // One update of the student. Throws before the update when something is not finite.
  StepValues step() {
    StepValues values;
    values.losses.assign(loss_names_.size(), 0.0);
    values.learning_rate = learning_rate();
    optimizer_.zero_gradients();
    // This rank's sequences: the first share of the step's micro-batches is rank 0's.
    const std::int64_t share = plan_.global_batch / comm_.size();
    const std::int64_t begin = state_.step * plan_.global_batch + comm_.rank() * share;
    const TrainingStream::Batch batch = job_.data->batch(begin, share);
    const std::int64_t learnt = learnt_by_all(batch);
    const double scale = learnt > 0 ? 1.0 / static_cast<double>(learnt) : 0.0;
    for (std::int64_t first = 0; first < share; first += plan_.micro_batch) {
      const Part part = micro_batch(begin + first, batch.tokens.narrow(0, first, plan_.micro_batch).to(device_),
                                    batch.labels.narrow(0, first, plan_.micro_batch).to(device_), scale);
      for (std::size_t i = 0; i < part.losses.size(); ++i) values.losses[i] += part.losses[i];
      values.total += weighted(part.losses).logits + part.alpha * weighted(part.losses).features;
      values.alpha += part.alpha * static_cast<double>(plan_.micro_batch) / static_cast<double>(plan_.global_batch);
    }
    add_up(values);
    optimizer_.reduce_gradients();
    values.gradient_norm = optimizer_.gradient_norm();
    check_finite(values);
    const bool clip = plan_.clip_grad > 0 && values.gradient_norm > plan_.clip_grad;
    optimizer_.step(values.learning_rate, clip ? plan_.clip_grad / values.gradient_norm : 1.0);
    return values;
  }

  // Tokens of the global batch that count.
  std::int64_t learnt_by_all(const TrainingStream::Batch& batch) {
    const std::int64_t own = batch.labels.ne(kIgnoredLabel).sum().item<std::int64_t>();
    if (comm_.alone()) return own;
    at::Tensor sum = at::full({1}, static_cast<double>(own), at::TensorOptions(at::kDouble));  // exact below 2^53
    comm_.all_reduce(sum);
    return static_cast<std::int64_t>(sum.item<double>());
  }

  // Sums of all ranks in place of this one's.
  void add_up(StepValues& values) {
    if (comm_.alone()) return;
    std::vector<double> numbers = values.losses;
    numbers.insert(numbers.end(), {values.total, values.alpha, interrupted() ? 1.0 : 0.0});
    at::Tensor sums = at::from_blob(numbers.data(), {static_cast<std::int64_t>(numbers.size())}, at::kDouble);
    comm_.all_reduce(sums);
    const std::size_t losses = values.losses.size();
    std::copy(numbers.begin(), numbers.begin() + static_cast<std::ptrdiff_t>(losses), values.losses.begin());
    values.total = numbers[losses];
    values.alpha = numbers[losses + 1];
    values.interrupted = numbers[losses + 2] > 0.0;
  }

  // The recipe's weight of term i, in the order of loss_names_.
  double weight(std::size_t i) const {
    return i < job_.losses.size() ? job_.losses[i].weight : job_.feature_losses[i - job_.losses.size()].weight;
  }

  // The two sums of a step or of a part of it: losses on logits and on features, each times its weight.
  struct Sums {
    double logits = 0.0, features = 0.0;
  };
  Sums weighted(const std::vector<double>& losses) const {
    Sums sums;
    for (std::size_t i = 0; i < losses.size(); ++i) {
      (i < job_.losses.size() ? sums.logits : sums.features) += weight(i) * losses[i];
    }
    return sums;
  }

  // What the sum on features is multiplied by.
  double balance(const std::vector<double>& losses) const {
    if (!plan_.dynamic_balance) return 1.0;
    const Sums sums = weighted(losses);
    return sums.logits > 0.0 && sums.features > 0.0 ? sums.logits / sums.features : 0.0;
  }

  // What the head needs of the teacher, one row for each token: its final hidden states, or what was kept of its
  // logits.
  CachedRows teacher_rows(std::int64_t first, const at::Tensor& tokens, Features& features) {
    if (job_.teacher_cache != nullptr) {
      if (!needs_teacher_) return {};
      std::vector<TrainingStream::Place> places;
      for (std::int64_t i = 0; i < tokens.size(0); ++i) places.push_back(job_.data->place(first + i));
      return job_.teacher_cache->rows(places, job_.student->compute());
    }
    if (!needs_teacher_ && features.empty()) return {};
    at::NoGradGuard no_grad;
    return {hidden_states(*job_.teacher, tokens, nullptr, &features).flatten(0, 1), {}};
  }

  // Forward and backward of a few sequences, (B, T) each; `first` is the number of the first. Returns their share of
  // every loss.
  struct Part {
    std::vector<double> losses;
    double alpha = 1.0;
  };
  Part micro_batch(std::int64_t first, const at::Tensor& tokens, const at::Tensor& labels, double scale) {
    Features theirs = features_.wanted_of_teacher(), ours = features_.wanted_of_student();
    CachedRows teacher = teacher_rows(first, tokens, theirs);
    at::AutoGradMode grad_mode(true);
    const at::Tensor hidden = hidden_states(*job_.student, tokens, nullptr, &ours, plan_.recompute);
    std::vector<double> losses;
    std::vector<at::Tensor> roots, gradients;
    if (!job_.losses.empty()) {
      HeadOutput output = run_head(hidden, std::move(teacher), labels, scale);
      losses = std::move(output.losses);
      roots.push_back(hidden);
      gradients.push_back(output.hidden_gradient.view_as(hidden));
    }
    const FeatureTerms::Values values = features_.evaluate(ours, theirs, labels, scale);
    losses.insert(losses.end(), values.losses.begin(), values.losses.end());
    const double alpha = balance(losses);
    if (values.total.defined() && values.total.requires_grad() && alpha > 0.0) {
      roots.push_back(values.total);
      gradients.push_back(at::full_like(values.total, alpha));
    }
    torch::autograd::backward(roots, gradients);
    optimizer_.collect();
    return {std::move(losses), alpha};
  }

  HeadOutput run_head(const at::Tensor& hidden, CachedRows teacher, const at::Tensor& labels, double scale) {
    HeadInput input;
    if (needs_teacher_) {
      input.teacher_hidden = std::move(teacher.hidden);
      input.teacher_weight = teacher_head_;
      input.teacher_kept = std::move(teacher.kept);
    }
    input.student_hidden = hidden.detach().flatten(0, 1);
    input.student_weight = job_.student->tensors()[head_];
    input.labels = labels.flatten();
    input.scale = scale;
    input.chunk = plan_.head_chunk > 0 ? plan_.head_chunk : default_head_chunk(input.student_weight.size(0), device_);
    return distillation_head(input, job_.losses, optimizer_.gradient(head_), &workspace_);
  }

  double learning_rate() const {
    const std::int64_t per_step = plan_.global_batch * plan_.seq_length;
    const std::int64_t course = plan_.horizon > 0 ? plan_.horizon : plan_.steps;
    const double rate = job_.scheduler->at({state_.step, course, state_.tokens, course * per_step});
    if (!std::isfinite(rate) || rate < 0.0) {
      fail("{}: step {}: the scheduler's learning rate cannot be used; got {}; expected a finite number, 0 or more",
           plan_.label, state_.step + 1, rate);
    }
    return rate;
  }

  void check_finite(const StepValues& values) const {
    const auto stop = [&](const std::string& what, double got) {
      const std::string last = checkpoints_.last().empty() ? "there is no checkpoint yet"
                                                           : "the last checkpoint is " + checkpoints_.last().string();
      fail("{}: step {}: {} is not finite; got {}; expected a number ({})", plan_.label, state_.step + 1, what, got,
           last);
    };
    for (std::size_t i = 0; i < values.losses.size(); ++i) {
      if (!std::isfinite(values.losses[i])) stop(fmt::format("loss '{}'", loss_names_[i]), values.losses[i]);
    }
    if (!std::isfinite(values.gradient_norm)) stop("the gradient's norm", values.gradient_norm);
  }

  double evaluate() {
    at::NoGradGuard no_grad;
    return job_.evaluate(*job_.student);
  }

  void log(const StepValues& values, const std::optional<double>& nll, Logs& logs) {
    tokens_per_second_ = static_cast<double>(unlogged_tokens_) / std::max(unlogged_seconds_, 1e-9);
    unlogged_tokens_ = 0;
    unlogged_seconds_ = 0.0;
    nlohmann::ordered_json line = {
        {"step", state_.step}, {"tokens", state_.tokens}, {"lr", values.learning_rate}, {"loss", values.total}};
    for (std::size_t i = 0; i < values.losses.size(); ++i) line[loss_names_[i]] = values.losses[i];
    if (plan_.dynamic_balance) line["alpha"] = values.alpha;
    line["grad_norm"] = values.gradient_norm;
    if (nll) line["eval_nll"] = *nll;
    line["tokens_per_s"] = std::round(tokens_per_second_ * 10.0) / 10.0;
    line["seconds"] = std::round(state_.seconds * 1000.0) / 1000.0;
    line["peak_rss"] = peak_resident_bytes();
    if (device_.is_cuda()) line["peak_device_bytes"] = peak_device_bytes(device_);
    logs.metrics->add(line);
    if (logs.events) logs.events->add(line);
    if (job_.on_metrics) job_.on_metrics(line);
  }

  TrainJob& job_;
  const TrainPlan& plan_;
  Comm& comm_;
  at::Device device_;
  FeatureTerms features_;
  AdamW optimizer_;
  TrainCheckpoints checkpoints_;
  std::size_t head_;
  std::vector<std::string> loss_names_;
  bool needs_teacher_ = false, asks_head_ = false;
  at::Tensor teacher_head_;
  HeadWorkspace workspace_;
  TrainState state_;
  Clock::time_point began_;
  double earlier_seconds_ = 0.0;
  std::int64_t unlogged_tokens_ = 0;
  double unlogged_seconds_ = 0.0, tokens_per_second_ = 0.0;
};

}  // namespace

TrainResult train(TrainJob& job) {
  check(job);
  return Session(job).run();
}

}  // namespace espalier
