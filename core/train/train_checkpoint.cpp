// SPDX-License-Identifier: Apache-2.0
#include "core/train/train_checkpoint.hpp"

#include <algorithm>
#include <cctype>
#include <functional>
#include <map>
#include <sstream>
#include <utility>

#include <c10/core/GradMode.h>
#include <nlohmann/json.hpp>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/checkpoint/safetensors.hpp"
#include "core/train/optimizer_files.hpp"

namespace espalier {
namespace {

constexpr const char* kModel = "model.safetensors";
constexpr const char* kState = "state.json";
constexpr const char* kTimings = "timings.json";  // apart, so that all other files repeat byte for byte
constexpr const char* kLatest = "latest";
constexpr std::string_view kPrefix = "iter_";

void check_digest(const fs::path& folder, const nlohmann::json& digests, const std::string& file) {
  const auto expected = digests.at(file).get<std::string>();
  const std::string got = digest_of_file(folder / file);
  if (got != expected) fail("{}: the data is damaged; got SHA-256 {}; expected {}", file, got, expected);
}

// The files that the state promises: the model first, then the optimizer's, one or one for each rank that saved.
std::vector<std::string> promised_files(const nlohmann::json& digests) {
  for (const auto& entry : digests.items()) {
    std::vector<std::string> files = optimizer_files_with(entry.key());
    if (files.empty()) continue;
    files.insert(files.begin(), kModel);
    return files;
  }
  fail("{}: a value is missing or of a wrong type; got no file of the optimizer", kState);
}

// Throws Error, in place of what a broken JSON throws.
template <class Read>
auto reading_state(const Read& read) {
  try {
    return read();
  } catch (const nlohmann::json::exception& error) {
    fail("{}: a value is missing or of a wrong type; got {}", kState, error.what());
  }
}

// The optimizer's own pieces of the weights.
void read_weights(const fs::path& path, const std::vector<std::string>& names, AdamW& optimizer) {
  const SafetensorsFile file(path);
  for (std::size_t k = 0; k < optimizer.pieces().size(); ++k) {
    const FlatPiece& piece = optimizer.pieces()[k];
    const at::Tensor& parameter = optimizer.parameters()[piece.parameter];
    const TensorInfo& info = tensor_of_model(file, names[piece.parameter], parameter.sizes());
    optimizer.set_weight(k, file.tensor(info).flatten().narrow(0, piece.begin, piece.count()));
  }
}

// Whole and in float32, one tensor in memory at a time. Rank 0 writes, the others give it what they have.
void write_weights(const fs::path& path, const std::vector<std::string>& names, AdamW& optimizer, bool writes) {
  std::optional<SafetensorsWriter> writer;
  if (writes) {
    std::vector<TensorInfo> infos;
    for (std::size_t i = 0; i < names.size(); ++i) {
      infos.push_back({names[i], at::kFloat, optimizer.parameters()[i].sizes().vec()});
    }
    writer.emplace(path, std::move(infos), std::map<std::string, std::string>{});
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    const at::Tensor whole = optimizer.whole_weight(i);
    if (writer) writer->write(whole);
  }
  if (writer) writer->commit();
}

}  // namespace

TrainCheckpoints::TrainCheckpoints(const fs::path& folder, std::vector<std::string> names, std::int64_t keep_last,
                                   std::int64_t save_every, std::int64_t last_step, Comm& comm)
    : folder_(folder),
      names_(std::move(names)),
      keep_last_(std::max<std::int64_t>(keep_last, 1)),
      save_every_(save_every),
      last_step_(last_step),
      comm_(comm) {}

void TrainCheckpoints::save(const TrainState& state, AdamW& optimizer) {
  const std::string name = fmt::format("{}{:07}", kPrefix, state.step);
  std::optional<PendingFolder> pending;
  if (comm_.leads()) pending.emplace(folder_ / name);
  const fs::path place = comm_.broadcast_text(pending ? pending->path().string() : "", 0);
  const std::string own = optimizer_file(comm_.rank(), comm_.size());
  write_moments(place / own, names_, optimizer, state.step);
  write_weights(place / kModel, names_, optimizer, comm_.leads());
  const std::vector<std::string> digests = gather_texts(comm_, digest_of_file(place / own));
  last_ = folder_ / name;
  if (comm_.leads()) {
    nlohmann::json json = {{"step", state.step}, {"tokens", state.tokens}};
    json["sha256"][kModel] = digest_of_file(place / kModel);
    for (std::int64_t rank = 0; rank < comm_.size(); ++rank) {
      json["sha256"][optimizer_file(rank, comm_.size())] = digests[static_cast<std::size_t>(rank)];
    }
    write_json(place / kTimings, {{"seconds", state.seconds}});
    write_json(place / kState, json);
    pending->commit();
    point_at_last();
    remove_damaged();
    remove_old();
  }
  comm_.barrier();
}

void TrainCheckpoints::point_at_last() const {
  const fs::path path = folder_ / kLatest;
  const std::string text = last_.filename().string() + "\n";
  if (!fs::is_regular_file(path) || read_text(path) != text) write_text(path, text);
}

std::optional<TrainState> TrainCheckpoints::load(AdamW& optimizer) {
  at::NoGradGuard no_grad;
  std::string names;
  if (comm_.leads()) {
    remove_unfinished();
    for (const fs::path& folder : newest_first()) names += folder.filename().string() + "\n";
  }
  std::istringstream list(comm_.broadcast_text(names, 0));
  for (std::string name; std::getline(list, name);) {
    const fs::path folder = folder_ / name;
    std::vector<std::string> files;
    const std::optional<TrainState> state = read_state(folder, files);
    if (!state) continue;
    read_weights(folder / kModel, names_, optimizer);
    std::vector<fs::path> moments;
    for (std::size_t i = 1; i < files.size(); ++i) moments.push_back(folder / files[i]);
    read_moments(moments, names_, optimizer);
    optimizer.restored(state->step);
    last_ = folder;
    if (comm_.leads()) {
      // A kill may have come between the folder, the file that names it and the removal of older ones.
      point_at_last();
      remove_old();
    }
    comm_.barrier();
    return state;
  }
  return std::nullopt;
}

// Ranks divide the reading of what they check, and agree on what they found.
std::optional<TrainState> TrainCheckpoints::read_state(const fs::path& folder, std::vector<std::string>& files) {
  TrainState state;
  std::string problem, text;
  try {
    if (comm_.leads()) {
      text = reading_state([&] {
        nlohmann::json json = read_json(folder / kState);
        json["seconds"] = fs::exists(folder / kTimings) ? read_json(folder / kTimings).value("seconds", 0.0) : 0.0;
        return json.dump();
      });
    }
  } catch (const Error& error) {
    problem = error.what();
  }
  const std::string shared = comm_.broadcast_text(text, 0);
  try {
    if (shared.empty()) fail("{}", problem);
    const nlohmann::json json = nlohmann::json::parse(shared);
    reading_state([&] {
      state = {json.at("step").get<std::int64_t>(), json.at("tokens").get<std::int64_t>(),
               json.at("seconds").get<double>()};
      files = promised_files(json.at("sha256"));
      for (std::size_t i = 0; i < files.size(); ++i) {
        if (static_cast<std::int64_t>(i) % comm_.size() == comm_.rank()) check_digest(folder, json["sha256"], files[i]);
      }
    });
  } catch (const Error& error) {
    problem = error.what();
  }
  for (const std::string& found : gather_texts(comm_, problem)) {
    if (found.empty()) continue;
    spdlog::warn("{}: this checkpoint is damaged and is passed over; {}", folder.string(), found);
    return std::nullopt;
  }
  return state;
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
