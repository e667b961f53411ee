// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/sweep.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <thread>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/log.hpp"
#include "core/base/strings.hpp"
#include "core/run/gpu_memory.hpp"
#include "core/run/lock.hpp"
#include "core/run/run_files.hpp"
#include "core/sweep/child.hpp"
#include "core/sweep/finish.hpp"
#include "core/sweep/progress.hpp"
#include "core/sweep/schedule.hpp"
#include "core/sweep/up_to_date.hpp"

namespace espalier {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kShareOfFree = 0.8;
constexpr const char* kVisibleGpus = "CUDA_VISIBLE_DEVICES";

std::vector<RunCost> costs_of(const Sweep& sweep, const Registry& registry, Compute compute) {
  std::vector<RunCost> costs;
  for (const SweepRun& run : sweep.runs) costs.push_back(predict(run.recipe, registry, compute));
  return costs;
}

// The GPU as this machine numbers it: a run sees that one alone.
std::string visible_gpu(std::size_t device) {
  const char* variable = std::getenv(kVisibleGpus);
  std::istringstream visible(variable == nullptr ? "" : variable);
  std::string name;
  for (std::size_t i = 0; i <= device; ++i) {
    if (!std::getline(visible >> std::ws, name, ',')) return std::to_string(device);
  }
  return name;
}

// What --memory allows on each device; refused when a run alone needs more.
std::vector<std::int64_t> memory_for(const Sweep& sweep, const std::vector<RunCost>& costs,
                                     const SweepOptions& options) {
  std::vector<std::int64_t> shares =
      options.compute.device.is_cpu() ? std::vector{available_memory_bytes()} : free_bytes_of_gpus();
  const auto largest = std::max_element(costs.begin(), costs.end(),
                                        [](const RunCost& a, const RunCost& b) { return a.memory < b.memory; });
  const auto text = [](std::int64_t bytes) { return human_bytes(static_cast<double>(bytes)); };
  const std::string& name = sweep.runs[static_cast<std::size_t>(largest - costs.begin())].name;
  if (options.memory) {
    if (largest->memory > *options.memory) {
      reject("--memory: too little for the run {}; got {}; expected at least {}", name, text(*options.memory),
             text(largest->memory));
    }
    return std::vector<std::int64_t>(shares.size(), *options.memory);
  }
  for (std::int64_t& bytes : shares) bytes = static_cast<std::int64_t>(kShareOfFree * static_cast<double>(bytes));
  const std::int64_t most = *std::max_element(shares.begin(), shares.end());
  if (largest->memory > most)
    spdlog::warn("the run {} may need {}, and {} are free", name, text(largest->memory), text(most));
  return shares;
}

// Is another process at work in the folder? A run whose sweep was killed takes a moment to save what it must.
bool is_busy(const fs::path& folder) {
  const int descriptor = ::open((folder / ".lock").c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return false;  // no lock yet; what else may be wrong the run will tell
  const bool busy = ::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(descriptor);
  return busy;
}

class Runner {
 public:
  Runner(const Sweep& sweep, const Registry& registry, const SweepOptions& options)
      : sweep_(sweep),
        registry_(registry),
        options_(options),
        lock_(sweep.recipe.output),
        threads_(threads_of(sweep, options)),
        costs_(costs_of(sweep, registry, options.compute)),
        capacity_{options.jobs, memory_for(sweep, costs_, options)},
        finished_(sweep.recipe.output, registry, options.device),
        order_(order_of_runs(sweep)) {
    for (const RunCost& cost : costs_) memory_.push_back(cost.memory);
    result_.status.resize(sweep.runs.size());
    for (std::size_t i = 0; i < sweep.runs.size(); ++i) {
      if (finished_.has(sweep.runs[i])) result_.status[i].state = RunState::done;
    }
  }

  SweepResult run() {
    save();
    SweepProgress progress(sweep_, costs_, result_.status);
    progress_ = &progress;
    while (!interrupted() && (count(RunState::pending) > 0 || count(RunState::running) > 0)) {
      start_what_fits();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      reap();
      progress.update(result_.status);
    }
    progress.clear();
    if (interrupted()) stop();
    if (result_.started > 0) keep_pace(sweep_, costs_, options_.compute.device, threads_);
    return std::move(result_);
  }

 private:
  struct Work {
    std::unique_ptr<Child> child;
    Clock::time_point began;
  };

  std::int64_t count(RunState state) const {
    return std::count_if(result_.status.begin(), result_.status.end(),
                         [&](const RunStatus& run) { return run.state == state; });
  }

  void save() const { write_json(sweep_.recipe.output / kSweepFile, sweep_to_json(sweep_, result_.status, threads_)); }

  RunFiles files(std::size_t run) const { return {sweep_.runs[run].recipe.output}; }
  fs::path output(std::size_t run) const { return files(run).root / ".output"; }

  void start_what_fits() {
    std::vector<std::size_t> order = order_;
    while (const std::optional<Placed> next = next_run(result_.status, memory_, order, capacity_)) {
      const fs::path folder = files(next->run).root;
      if (is_busy(folder)) {
        if (!told_) spdlog::info("{}: another process is at work there; waiting", folder.string());
        told_ = true;
        order.erase(std::find(order.begin(), order.end(), next->run));
      } else {
        start(next->run, next->device);
      }
    }
  }

  void start(std::size_t run, std::size_t device) {
    const Clock::time_point began = Clock::now();
    result_.status[run] = {RunState::running, "", device};
    ++result_.started;
    try {
      write_text(files(run).recipe(), resolved_recipe(sweep_.runs[run].recipe, registry_));
      const std::vector<std::string> arguments = {
          "run", files(run).recipe().string(), "--threads", std::to_string(threads_), "--device", options_.device};
      const bool many = capacity_.memory.size() > 1;
      const std::string gpu = many ? fmt::format("{}={}", kVisibleGpus, visible_gpu(device)) : "";
      work_[run] = {std::make_unique<Child>(arguments, output(run), gpu), began};
      save();
    } catch (const Error& error) {
      work_.erase(run);
      settle(run, {.done = false, .interrupted = false, .error = error.what()}, 0.0);
    }
  }

  void reap() {
    for (auto work = work_.begin(); work != work_.end();) {
      const std::optional<Ended> ended = work->second.child->ended();
      if (!ended) {
        ++work;
        continue;
      }
      settle(work->first, *ended, std::chrono::duration<double>(Clock::now() - work->second.began).count());
      work = work_.erase(work);
    }
  }

  void settle(std::size_t run, const Ended& ended, double seconds) {
    RunStatus& status = result_.status[run];
    status.state = ended.done ? RunState::done : ended.interrupted ? RunState::pending : RunState::failed;
    if (ended.done) finished_.add(sweep_.runs[run]);
    if (status.state == RunState::failed) {
      status.error = ended.error;
      std::ofstream(files(run).log(), std::ios::app) << "error: " << ended.error << "\n";
    }
    std::error_code ignored;
    fs::remove(output(run), ignored);
    save();
    if (ended.interrupted) return;
    progress_->clear();
    const std::int64_t settled = count(RunState::done) + count(RunState::failed);
    spdlog::info("{:<32} {} in {} ({} of {})", sweep_.runs[run].name, ended.done ? "done" : "FAILED",
                 human_time(seconds), settled, result_.status.size());
    if (!ended.done) spdlog::info("  {}", ended.error);
  }

  // The runs save what they must; then the sweep ends as a run does.
  void stop() {
    spdlog::info("stopping {} run{}", work_.size(), work_.size() == 1 ? "" : "s");
    for (auto& [run, work] : work_) work.child->stop();
    while (!work_.empty()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      reap();
    }
    throw_if_interrupted();
  }

  const Sweep& sweep_;
  const Registry& registry_;
  const SweepOptions& options_;
  FolderLock lock_;
  int threads_;
  std::vector<RunCost> costs_;
  Capacity capacity_;
  FinishedRuns finished_;
  std::vector<std::size_t> order_;
  std::vector<std::int64_t> memory_;
  std::map<std::size_t, Work> work_;
  SweepProgress* progress_ = nullptr;
  SweepResult result_;
  bool told_ = false;
};

}  // namespace

int threads_of(const Sweep& sweep, const SweepOptions& options) {
  if (options.threads > 0) return static_cast<int>(options.threads);
  const int recorded = recorded_threads(sweep.recipe.output);
  if (recorded > 0) return recorded;  // so that what is left to do has the bytes that it would have had
  const auto cores = static_cast<std::int64_t>(std::max(1U, std::thread::hardware_concurrency()));
  return static_cast<int>(std::max<std::int64_t>(1, cores / options.jobs));
}

std::int64_t SweepResult::failed() const {
  return std::count_if(status.begin(), status.end(),
                       [](const RunStatus& run) { return run.state == RunState::failed; });
}

SweepResult run_sweep(const Sweep& sweep, const Registry& registry, const SweepOptions& options) {
  SweepResult result = Runner(sweep, registry, options).run();
  result.text = finish(sweep, result.status);
  return result;
}

}  // namespace espalier
