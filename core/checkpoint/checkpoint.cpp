// SPDX-License-Identifier: Apache-2.0
#include "core/checkpoint/checkpoint.hpp"

#include <algorithm>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/checkpoint/checkpoint_check.hpp"
#include "core/checkpoint/layout.hpp"
#include "core/checkpoint/text.hpp"

namespace espalier {
namespace {

nlohmann::json read_config(const fs::path& folder) {
  if (!fs::exists(folder)) fail("{}: no such folder; expected a Hugging Face checkpoint", folder.string());
  if (!fs::is_directory(folder)) {
    fail("{}: not a checkpoint; got a file; expected a folder with {}", folder.string(), kConfigFile);
  }
  if (!fs::exists(folder / kConfigFile)) {
    fail("{}: not a checkpoint; got a folder without {}; expected a Hugging Face checkpoint", folder.string(),
         kConfigFile);
  }
  return read_json(folder / kConfigFile);
}

[[noreturn]] void fail_missing(const fs::path& folder, const std::vector<std::string>& missing, std::size_t all) {
  std::string hint;
  if (missing.size() == 1 && missing.front() == kHeadName) hint = " (or \"tie_word_embeddings\": true)";
  fail("{}: tensors are missing; got none for {}{}; expected all {} that config.json describes{}", folder.string(),
       in_quotes(missing.front()), missing.size() == 1 ? "" : fmt::format(" and {} more", missing.size() - 1), all,
       hint);
}

}  // namespace

ModelSpec read_folder_spec(const fs::path& folder) {
  return read_spec(read_config(folder), (folder / kConfigFile).string());
}

Checkpoint::Checkpoint(const fs::path& folder)
    : folder_(folder),
      config_(read_config(folder)),
      spec_(read_spec(config_, (folder / kConfigFile).string())),
      parameters_(espalier::parameters(spec_)) {
  const Layout layout = find_layout(folder_);
  for (const std::string& name : layout.files) {
    files_.push_back(std::make_shared<const SafetensorsFile>(folder_ / name));
  }
  check_index(folder_, layout, files_);
  std::map<std::string, Place> found;
  for (std::size_t file = 0; file < files_.size(); ++file) {
    for (const TensorInfo& tensor : files_[file]->tensors()) found.emplace(tensor.name, Place{file, &tensor});
  }
  std::vector<std::string> missing;
  for (const Parameter& parameter : parameters_) {
    auto node = found.extract(parameter.name);
    if (node.empty()) {
      missing.push_back(parameter.name);
      continue;
    }
    check_tensor(files_[node.mapped().file]->path(), *node.mapped().info, parameter);
    where_.insert(std::move(node));
  }
  if (!missing.empty()) fail_missing(folder_, missing, parameters_.size());
  const Place& embedding = where_.at(parameters_.front().name);
  for (const auto& [name, place] : found) {
    check_extra(*files_[place.file], *place.info, files_[embedding.file].get(), spec_.tied ? embedding.info : nullptr);
  }
}

const Checkpoint::Place& Checkpoint::place(const Parameter& parameter) const {
  const auto found = where_.find(parameter.name);
  ESPALIER_CHECK(found != where_.end(), parameter.name, " is not in ", folder_);
  return found->second;
}

at::ScalarType Checkpoint::dtype() const {
  std::map<at::ScalarType, std::uint64_t> bytes;
  for (const auto& [name, place] : where_) bytes[place.info->dtype] += place.info->bytes();
  const auto most = std::max_element(bytes.begin(), bytes.end(), [](auto& a, auto& b) { return a.second < b.second; });
  return most->first;
}

const TensorInfo& Checkpoint::info(const Parameter& parameter) const { return *place(parameter).info; }

at::Tensor Checkpoint::tensor(const Parameter& parameter) const {
  const Place& at = place(parameter);
  return files_[at.file]->tensor(*at.info);
}

void Checkpoint::forget(const Parameter& parameter) const {
  const Place& at = place(parameter);
  files_[at.file]->forget(*at.info);
}

const std::string& Checkpoint::digest() const {
  if (!digest_.empty()) return digest_;
  constexpr std::uint64_t kPiece = 16 << 20;  // bounds what becomes resident
  Digest digest;
  digest.add("espalier checkpoint 1").add(config_.dump());
  for (const Parameter& parameter : parameters_) {
    const Place& at = place(parameter);
    const MappedFile& map = files_[at.file]->map();
    digest.add(parameter.name).add(dtype_name(at.info->dtype)).add(shape_text(at.info->shape));
    for (std::uint64_t begin = at.info->begin; begin < at.info->end; begin += kPiece) {
      throw_if_interrupted();
      const std::uint64_t size = std::min(kPiece, at.info->end - begin);
      digest.add(map.bytes().data() + begin, size);
      map.forget(begin, size);
    }
  }
  return digest_ = digest.hex();
}

std::vector<fs::path> Checkpoint::side_files() const {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    const bool ours = name == kConfigFile || name == kProvenanceFile;
    if (entry.is_regular_file() && !ours && !name.starts_with('.') && !holds_weights(name))
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace espalier
