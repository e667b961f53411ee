// SPDX-License-Identifier: Apache-2.0
#include "core/train/optimizer_files.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/error.hpp"

namespace espalier {
namespace {

constexpr const char* kWhole = "optimizer.safetensors";
constexpr const char* kPieces = "pieces";  // metadata of a rank's file: where its tensors begin in their parameters
constexpr std::int64_t kMostRanks = 99999;
const std::string kFirst = "exp_avg.", kSecond = "exp_avg_sq.";

[[noreturn]] void another_model(const fs::path& path, const std::string& name, const std::string& got,
                                at::IntArrayRef shape, const char* dtypes = "float32") {
  fail(
      "{}: the checkpoint belongs to another model; got {} for '{}'; expected {} ({}); remove the checkpoints to start "
      "anew",
      path.string(), got, name, dtypes, fmt::join(shape, ", "));
}

// One file of a set, and which part of a parameter each of its tensors is.
class MomentFile {
 public:
  explicit MomentFile(const fs::path& path) : file_(path) {
    const auto found = file_.metadata().find(kPieces);
    whole_ = found == file_.metadata().end();
    if (whole_) return;
    try {
      begins_ = nlohmann::json::parse(found->second).get<std::map<std::string, std::int64_t>>();
    } catch (const nlohmann::json::exception& error) {
      fail("{}: the list of pieces is damaged; got {}; expected names and offsets", path.string(), error.what());
    }
  }

  // Copies what the file has of elements `piece` of a parameter into `to`, flat; the number of elements.
  std::int64_t read(const std::string& prefix, const std::string& name, at::IntArrayRef shape, const FlatPiece& piece,
                    const at::Tensor& to) const {
    const auto begin_of = begins_.find(name);
    if (!whole_ && begin_of == begins_.end()) return 0;
    const std::int64_t stored_begin = whole_ ? 0 : begin_of->second;
    const TensorInfo* info = file_.find(prefix + name);
    if (info == nullptr || (whole_ && info->shape != shape) || stored_begin < 0)
      another_model(file_.path(), prefix + name, whole_ ? "nothing of this shape" : "no piece", shape);
    if (info->dtype != at::kFloat && info->dtype != at::kBFloat16)
      another_model(file_.path(), prefix + name, c10::toString(info->dtype), shape, "float32 or bfloat16");
    const std::int64_t from = std::max(piece.begin, stored_begin);
    const std::int64_t end = std::min(piece.end, stored_begin + info->elements());
    if (from >= end) return 0;
    to.narrow(0, from - piece.begin, end - from)
        .copy_(file_.tensor(*info).flatten().narrow(0, from - stored_begin, end - from));
    return end - from;
  }

  const fs::path& path() const { return file_.path(); }

 private:
  SafetensorsFile file_;
  bool whole_ = true;
  std::map<std::string, std::int64_t> begins_;
};

}  // namespace

std::string optimizer_file(std::int64_t rank, std::int64_t ranks) {
  return ranks == 1 ? kWhole : fmt::format("optimizer-{:05}-of-{:05}.safetensors", rank + 1, ranks);
}

std::vector<std::string> optimizer_files_with(const std::string& name) {
  long rank = 0, ranks = 0;
  if (name == kWhole) return {name};
  if (std::sscanf(name.c_str(), "optimizer-%5ld-of-%5ld.safetensors", &rank, &ranks) != 2) return {};
  if (rank < 1 || rank > ranks || ranks < 2 || ranks > kMostRanks || optimizer_file(rank - 1, ranks) != name) return {};
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < ranks; ++i) names.push_back(optimizer_file(i, ranks));
  return names;
}

const TensorInfo& tensor_of_model(const SafetensorsFile& file, const std::string& name, at::IntArrayRef shape) {
  const TensorInfo* info = file.find(name);
  if (info == nullptr) another_model(file.path(), name, "nothing", shape);
  if (info->dtype != at::kFloat || info->shape != shape)
    another_model(file.path(), name, fmt::format("({})", fmt::join(info->shape, ", ")), shape);
  return *info;
}

void write_moments(const fs::path& path, const std::vector<std::string>& names, AdamW& optimizer, std::int64_t step) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  nlohmann::json begins = nlohmann::json::object();
  bool whole = true;
  for (const auto& [prefix, moments] :
       {std::pair(kFirst, &optimizer.first_moments()), {kSecond, &optimizer.second_moments()}}) {
    for (std::size_t k = 0; k < moments->size(); ++k) {
      const FlatPiece& piece = optimizer.pieces()[k];
      const at::Tensor& parameter = optimizer.parameters()[piece.parameter];
      whole = whole && piece.count() == parameter.numel();
      begins[names[piece.parameter]] = piece.begin;
      tensors.emplace_back(prefix + names[piece.parameter], (*moments)[k]);
    }
  }
  std::map<std::string, std::string> metadata = {{"step", std::to_string(step)}};
  if (!whole || optimizer.pieces().size() < names.size()) metadata[kPieces] = begins.dump();
  save_tensors(path, tensors, metadata);
}

void read_moments(const std::vector<fs::path>& paths, const std::vector<std::string>& names, AdamW& optimizer) {
  std::vector<std::unique_ptr<MomentFile>> files;
  for (const fs::path& path : paths) files.push_back(std::make_unique<MomentFile>(path));
  for (const auto& [prefix, moments] :
       {std::pair(kFirst, &optimizer.first_moments()), {kSecond, &optimizer.second_moments()}}) {
    for (std::size_t k = 0; k < moments->size(); ++k) {
      const FlatPiece& piece = optimizer.pieces()[k];
      const at::IntArrayRef shape = optimizer.parameters()[piece.parameter].sizes();
      const std::string& name = names[piece.parameter];
      const at::Tensor flat = (*moments)[k].view({piece.count()});
      std::int64_t found = 0;
      for (const auto& file : files) found += file->read(prefix, name, shape, piece, flat);
      if (found != piece.count())
        another_model(paths.front().parent_path(), prefix + name,
                      fmt::format("{} of {} elements", found, piece.count()), shape);
    }
  }
}

}  // namespace espalier
