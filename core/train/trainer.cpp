// SPDX-License-Identifier: Apache-2.0
#include "core/train/trainer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include <c10/core/GradMode.h>
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
#include "core/train/train_checkpoint.hpp"
#include "core/train/train_step.hpp"

namespace espalier {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

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

class Session {
 public:
  explicit Session(TrainJob& job)
      : job_(job),
        plan_(job.plan),
        comm_(*job.comm),
        device_(job.student->compute().device),
        step_(job),
        checkpoints_(job.checkpoints, step_.parameter_names(), plan_.keep_last, plan_.save_every, plan_.steps, comm_),
        loss_names_(log_names(job)) {}

  TrainResult run() {
    if (device_.is_cuda()) forget_peak_device_bytes(device_);
    if (const std::optional<TrainState> found = checkpoints_.load(step_.optimizer())) {
      state_ = *found;
    } else {
      const std::size_t count = job_.student->parameters().size();
      step_.optimizer().begin_with([&](std::size_t i) { return i < count ? job_.student->stored(i) : at::Tensor(); });
    }
    if (state_.step > 0 && comm_.leads()) {
      spdlog::info("{}: goes on after step {} of {}", plan_.label, state_.step, plan_.steps);
    }
    earlier_seconds_ = state_.seconds;
    if (state_.step < plan_.steps) {
      began_ = Clock::now();
      loop();
    } else if (checkpoints_.last().empty()) {
      checkpoints_.save(state_, step_.optimizer());  // no steps at all: the start is the end
    }
    return {state_.step, state_.tokens, state_.seconds, earlier_seconds_};
  }

 private:
  // Of rank 0; the others have none.
  struct Logs {
    std::optional<MetricsLog> metrics;
    std::optional<EventLog> events;
  };

  void loop() {
    Logs logs;
    if (comm_.leads()) logs.metrics.emplace(job_.metrics, state_.step);
    if (comm_.leads() && !job_.events.empty()) logs.events.emplace(job_.events, state_.step);
    std::optional<ProgressBar> bar;
    if (comm_.leads()) bar.emplace(plan_.label, plan_.steps, state_.step);
    while (state_.step < plan_.steps) {
      const Clock::time_point step_began = Clock::now();
      const bool more = state_.step + 1 < plan_.steps;
      const StepValues values =
          step_.run(state_.step, learning_rate(), more, [this](const StepValues& found) { check_finite(found); });
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
      checkpoints_.save(state_, step_.optimizer());
    }
    if (stop) {
      throw Interrupted(fmt::format("{}: stopped by a signal after step {} of {}; the same command goes on from there",
                                    plan_.label, state_.step, plan_.steps));
    }
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
  TrainStep step_;
  TrainCheckpoints checkpoints_;
  std::vector<std::string> loss_names_;
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
