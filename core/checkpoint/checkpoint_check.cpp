// SPDX-License-Identifier: Apache-2.0
#include "core/checkpoint/checkpoint_check.hpp"

#include <algorithm>
#include <cstring>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/strings.hpp"
#include "core/checkpoint/text.hpp"

namespace espalier {
namespace {

// The key of config.json that says this dimension, at `at` in the product; moves `at` past what the key covers.
std::string config_key(const DimProduct& product, std::size_t& at) {
  const Dim dim = product[at++];
  switch (dim) {
    case Dim::hidden:
      return "hidden_size";
    case Dim::ffn:
      return "intermediate_size";
    case Dim::vocab:
      return "vocab_size";
    case Dim::layers:
      return "num_hidden_layers";
    case Dim::kv_groups:
      if (at == product.size() || product[at] != Dim::heads_per_group) return "num_key_value_heads";
      ++at;
      return "num_attention_heads";
    case Dim::heads_per_group:
      return "num_attention_heads / num_key_value_heads";
    case Dim::head_dim:
      break;
  }
  return "head_dim";
}

// "ffn (intermediate_size)"
std::string dimension_text(const DimProduct& product) {
  std::vector<std::string> ours, theirs;
  for (const Dim dim : product) ours.emplace_back(name_of(dim));
  for (std::size_t at = 0; at < product.size();) theirs.push_back(config_key(product, at));
  return join(ours, " × ") + " (" + join(theirs, " × ") + ")";
}

// Piece by piece, so that neither tensor becomes resident as a whole.
bool equal_data(const SafetensorsFile& file_a, const TensorInfo& a, const SafetensorsFile& file_b,
                const TensorInfo& b) {
  constexpr std::uint64_t kPiece = 16 << 20;
  if (a.dtype != b.dtype || a.shape != b.shape) return false;
  for (std::uint64_t done = 0; done < a.bytes(); done += kPiece) {
    throw_if_interrupted();
    const std::uint64_t size = std::min(kPiece, a.bytes() - done);
    const std::byte* data_a = file_a.map().bytes().data() + a.begin + done;
    const std::byte* data_b = file_b.map().bytes().data() + b.begin + done;
    if (std::memcmp(data_a, data_b, size) != 0) return false;
    file_a.map().forget(a.begin + done, size);
    file_b.map().forget(b.begin + done, size);
  }
  return true;
}

}  // namespace

void check_index(const fs::path& folder, const Layout& layout, const OpenFiles& files) {
  std::map<std::string, std::string> found;
  for (const auto& file : files) {
    const std::string name = file->path().filename().string();
    for (const TensorInfo& tensor : file->tensors()) {
      const auto [other, is_new] = found.emplace(tensor.name, name);
      if (!is_new) {
        fail("{}: tensor {} is in two files; got {} and {}", folder.string(), in_quotes(tensor.name),
             in_quotes(other->second), in_quotes(name));
      }
    }
  }
  if (!layout.indexed) return;
  const std::string source = (folder / kIndexFile).string();
  for (const auto& [tensor, file] : layout.file_of) {
    const auto place = found.find(tensor);
    if (place == found.end() || place->second != file) {
      fail("{}: weight_map disagrees with the files about tensor {}; got {}; expected {}", source, in_quotes(tensor),
           in_quotes(file), place == found.end() ? "no such tensor" : in_quotes(place->second));
    }
  }
  for (const auto& [tensor, file] : found) {
    if (!layout.file_of.contains(tensor)) {
      fail("{}: weight_map lacks a tensor; got no {}; expected it in {}", source, in_quotes(tensor), in_quotes(file));
    }
  }
}

void check_tensor(const fs::path& file, const TensorInfo& tensor, const Parameter& parameter) {
  const std::string source = file.string() + ": tensor " + in_quotes(tensor.name);
  if (tensor.dtype != at::kFloat && tensor.dtype != at::kHalf && tensor.dtype != at::kBFloat16) {
    fail("{}: dtype is not one of weights; got {}; expected F32, F16 or BF16", source, dtype_name(tensor.dtype));
  }
  if (tensor.shape.size() != parameter.shape.size()) {
    fail("{}: wrong number of dimensions; got shape {}; expected {}", source, shape_text(tensor.shape),
         shape_text(parameter.shape));
  }
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    if (tensor.shape[i] != parameter.shape[i]) {
      fail("{}: dimension {} disagrees with config.json about {}; got {}; expected {}", source, i,
           dimension_text(parameter.dims[i]), tensor.shape[i], parameter.shape[i]);
    }
  }
}

void check_extra(const SafetensorsFile& file, const TensorInfo& tensor, const SafetensorsFile* embedding_file,
                 const TensorInfo* embedding) {
  if (tensor.name.ends_with(".rotary_emb.inv_freq")) return;
  const std::string source = file.path().string() + ": tensor " + in_quotes(tensor.name);
  if (tensor.name == kHeadName && embedding != nullptr) {
    if (equal_data(file, tensor, *embedding_file, *embedding)) return;
    fail(
        "{}: differs from the embedding though config.json ties them; got its own data; expected that of {} "
        "(or \"tie_word_embeddings\": false)",
        source, in_quotes(embedding->name));
  }
  fail("{}: does not belong to the model; expected only the tensors that config.json describes", source);
}

}  // namespace espalier
