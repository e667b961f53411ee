// SPDX-License-Identifier: Apache-2.0
#include "core/train/train_checkpoint.hpp"

#include <algorithm>
#include <cctype>
#include <functional>
#include <utility>

#include <c10/core/GradMode.h>
#include <nlohmann/json.hpp>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/checkpoint/safetensors.hpp"

namespace espalier {
namespace {

constexpr const char* kModel = "model.safetensors";
constexpr const char* kOptimizer = "optimizer.safetensors";
constexpr const char* kState = "state.json";
constexpr const char* kTimings = "timings.json";  // apart, so that all other files repeat byte for byte
constexpr const char* kLatest = "latest";
constexpr std::string_view kPrefix = "iter_";
const std::string kFirst = "exp_avg.", kSecond = "exp_avg_sq.";

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

NamedTensors named(const std::string& prefix, const std::vector<std::string>& names,
                   const std::vector<at::Tensor>& tensors) {
  NamedTensors result;
  for (std::size_t i = 0; i < names.size(); ++i) result.emplace_back(prefix + names[i], tensors[i]);
  return result;
}

// Throws Error when the folder is not a whole checkpoint.
TrainState read_state(const fs::path& folder) {
  const nlohmann::json json = read_json(folder / kState);
  TrainState state;
  try {
    state.step = json.at("step").get<std::int64_t>();
    state.tokens = json.at("tokens").get<std::int64_t>();
    state.seconds = fs::exists(folder / kTimings) ? read_json(folder / kTimings).value("seconds", 0.0) : 0.0;
    for (const char* file : {kModel, kOptimizer}) {
      const auto expected = json.at("sha256").at(file).get<std::string>();
      const std::string got = digest_of_file(folder / file);
      if (got != expected) fail("{}: the data is damaged; got SHA-256 {}; expected {}", file, got, expected);
    }
  } catch (const nlohmann::json::exception& error) {
    fail("{}: a value is missing or of a wrong type; got {}", kState, error.what());
  }
  return state;
}

// Copies tensors of a file into tensors that are there.
void restore(const fs::path& path, const std::string& prefix, const std::vector<std::string>& names,
             std::vector<at::Tensor>& tensors) {
  const SafetensorsFile file(path);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const TensorInfo* info = file.find(prefix + names[i]);
    if (info == nullptr || info->dtype != at::kFloat || info->shape != tensors[i].sizes()) {
      fail(
          "{}: the checkpoint belongs to another model; got {} for '{}'; expected float32 ({}); remove the checkpoints "
          "to start anew",
          path.string(), info == nullptr ? "nothing" : fmt::format("({})", fmt::join(info->shape, ", ")),
          prefix + names[i], fmt::join(tensors[i].sizes(), ", "));
    }
    tensors[i].copy_(file.tensor(*info));
  }
}

}  // namespace

TrainCheckpoints::TrainCheckpoints(const fs::path& folder, std::vector<std::string> names, std::int64_t keep_last,
                                   std::int64_t save_every, std::int64_t last_step)
    : folder_(folder),
      names_(std::move(names)),
      keep_last_(std::max<std::int64_t>(keep_last, 1)),
      save_every_(save_every),
      last_step_(last_step) {}

void TrainCheckpoints::save(const TrainState& state, AdamW& optimizer) {
  const std::string name = fmt::format("{}{:07}", kPrefix, state.step);
  PendingFolder pending(folder_ / name);
  save_tensors(pending.path() / kModel, named("", names_, optimizer.weights()));
  NamedTensors moments = named(kFirst, names_, optimizer.first_moments());
  for (auto& entry : named(kSecond, names_, optimizer.second_moments())) moments.push_back(std::move(entry));
  save_tensors(pending.path() / kOptimizer, moments, {{"step", std::to_string(state.step)}});
  nlohmann::json json = {{"step", state.step}, {"tokens", state.tokens}};
  for (const char* file : {kModel, kOptimizer}) json["sha256"][file] = digest_of_file(pending.path() / file);
  write_json(pending.path() / kTimings, {{"seconds", state.seconds}});
  write_json(pending.path() / kState, json);
  pending.commit();
  last_ = folder_ / name;
  point_at_last();
  remove_damaged();
  remove_old();
}

void TrainCheckpoints::point_at_last() const {
  const fs::path path = folder_ / kLatest;
  const std::string text = last_.filename().string() + "\n";
  if (!fs::is_regular_file(path) || read_text(path) != text) write_text(path, text);
}

std::optional<TrainState> TrainCheckpoints::load(AdamW& optimizer) {
  at::NoGradGuard no_grad;
  remove_unfinished();
  for (const fs::path& folder : newest_first()) {
    TrainState state;
    try {
      state = read_state(folder);
    } catch (const Error& error) {
      spdlog::warn("{}: this checkpoint is damaged and is passed over; {}", folder.string(), error.what());
      continue;
    }
    restore(folder / kModel, "", names_, optimizer.weights());
    restore(folder / kOptimizer, kFirst, names_, optimizer.first_moments());
    restore(folder / kOptimizer, kSecond, names_, optimizer.second_moments());
    optimizer.restored(state.step);
    last_ = folder;
    // A kill may have come between the folder, the file that names it and the removal of older ones.
    point_at_last();
    remove_old();
    return state;
  }
  return std::nullopt;
}

std::vector<fs::path> TrainCheckpoints::newest_first() const {
  std::vector<std::pair<std::int64_t, fs::path>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    const std::string name = entry.path().filename().string();
    const std::string digits = name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : "";
    const bool number = !digits.empty() && digits.size() <= 18 &&
                        std::all_of(digits.begin(), digits.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
    if (number && entry.is_directory(error)) found.emplace_back(std::stoll(digits), entry.path());
  }
  std::sort(found.begin(), found.end(), std::greater<>());
  std::vector<fs::path> folders;
  for (auto& [step, path] : found) folders.push_back(std::move(path));
  return folders;
}

void TrainCheckpoints::remove_unfinished() const {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    if (entry.path().filename().string().starts_with("." + std::string(kPrefix))) fs::remove_all(entry.path(), ignored);
  }
}

void TrainCheckpoints::remove_damaged() const {
  std::error_code ignored;
  for (const fs::path& folder : newest_first()) {
    if (folder == last_) return;
    fs::remove_all(folder, ignored);
  }
}

void TrainCheckpoints::remove_old() const {
  const std::vector<fs::path> folders = newest_first();
  const auto current = std::find(folders.begin(), folders.end(), last_);
  std::error_code ignored;
  const auto scheduled = [&](const fs::path& folder) {
    const std::int64_t step = std::stoll(folder.filename().string().substr(kPrefix.size()));
    if (save_every_ > 0 && step % save_every_ == 0) return true;
    return step == last_step_ || (save_every_ <= 0 && last_step_ == 0);
  };
  std::int64_t kept = 0;
  for (auto it = current; it != folders.end(); ++it) {
    if (scheduled(*it) && kept < keep_last_) {
      ++kept;
    } else if (it != current) {
      fs::remove_all(*it, ignored);
    }
  }
}

}  // namespace espalier
