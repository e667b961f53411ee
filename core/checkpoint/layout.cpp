// SPDX-License-Identifier: Apache-2.0
#include "core/checkpoint/layout.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/checkpoint/text.hpp"

namespace espalier {
namespace {

// Of the weights that Hugging Face would load. Other safetensors files (an adapter's, Mistral's consolidated ones) may
// lie beside them.
std::set<std::string> model_files(const fs::path& folder) {
  std::set<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (glob_match("model*.safetensors", name)) names.insert(name);
  }
  return names;
}

void check_shard_name(const std::string& name, const std::string& source) {
  const bool plain = name.find_first_of("/\\") == std::string::npos && name.find('\0') == std::string::npos;
  if (!plain || !name.ends_with(".safetensors")) {
    fail("{}: a shard's name is not allowed; got {}; expected a .safetensors file of the same folder", source,
         in_quotes(name));
  }
}

Layout read_index(const fs::path& folder) {
  const std::string source = (folder / kIndexFile).string();
  const nlohmann::json index = read_json(folder / kIndexFile);
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (map == index.end() || !map->is_object() || map->empty()) {
    fail("{}: weight_map is missing; expected an object from tensor names to file names", source);
  }
  Layout layout;
  layout.indexed = true;
  std::set<std::string> files;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) {
      fail("{}: weight_map of {} is not a file name; got {}", source, in_quotes(tensor), file.type_name());
    }
    const auto& name = file.get_ref<const std::string&>();
    check_shard_name(name, source);
    files.insert(name);
    layout.file_of.emplace(tensor, name);
  }
  layout.files.assign(files.begin(), files.end());
  for (const std::string& file : layout.files) {
    if (!fs::exists(folder / file)) {
      fail("{}: shard is missing; got no {} in the folder; expected {} shards", source, in_quotes(file), files.size());
    }
  }
  return layout;
}

[[noreturn]] void fail_without_weights(const fs::path& folder, const std::set<std::string>& shards) {
  if (!shards.empty()) {
    fail("{}: shards without an index; got {}; expected {} or {}", folder.string(), in_quotes(*shards.begin()),
         kSingleFile, kIndexFile);
  }
  for (const char* pickle : {"pytorch_model.bin", "pytorch_model.bin.index.json"}) {
    if (fs::exists(folder / pickle)) {
      fail("{}: pickled weights are never read; got {}; expected {} (convert them with save_pretrained)",
           folder.string(), pickle, kSingleFile);
    }
  }
  fail("{}: no weights; expected {} or {}", folder.string(), kSingleFile, kIndexFile);
}

}  // namespace

Layout find_layout(const fs::path& folder) {
  const std::set<std::string> present = model_files(folder);
  Layout layout;
  if (fs::exists(folder / kIndexFile)) {
    layout = read_index(folder);
  } else if (present.contains(kSingleFile)) {
    layout.files = {kSingleFile};
  } else {
    fail_without_weights(folder, present);
  }
  for (const std::string& name : present) {
    if (!std::binary_search(layout.files.begin(), layout.files.end(), name)) {
      fail("{}: a weight file is not used; got {} beside {}; expected one set of weights (remove what is stale)",
           folder.string(), in_quotes(name), layout.indexed ? kIndexFile : kSingleFile);
    }
  }
  return layout;
}

bool holds_weights(const std::string& file_name) {
  // params.json describes Mistral's consolidated weights: beside other weights it would mislead.
  if (file_name == "params.json" || file_name.ends_with(".index.json")) return true;
  static constexpr const char* kEndings[] = {".safetensors", ".bin", ".pt",      ".pth", ".gguf",
                                             ".h5",          ".ot",  ".msgpack", ".onnx"};
  return std::any_of(std::begin(kEndings), std::end(kEndings),
                     [&](const char* ending) { return file_name.ends_with(ending); });
}

}  // namespace espalier
