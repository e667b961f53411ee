// SPDX-License-Identifier: Apache-2.0
#include "core/eval/document_losses.hpp"

#include <cmath>
#include <utility>

#include "core/base/error.hpp"
#include "core/checkpoint/safetensors.hpp"

namespace espalier {
namespace {

using nlohmann::json;

// In the order of the file: what takes eight bytes first, so that all of it is aligned.
constexpr at::ScalarType kTypes[] = {at::kLong, at::kDouble, at::kLong, at::kInt};
constexpr const char* kNames[] = {"document", "nll", "tokens", "source"};

std::vector<TensorInfo> layout(std::int64_t rows) {
  std::vector<TensorInfo> list;
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    TensorInfo info;
    info.name = kNames[i];
    info.dtype = kTypes[i];
    info.shape = {rows};
    list.push_back(std::move(info));
  }
  return list;
}

template <class T>
std::vector<T> column(const SafetensorsFile& file, std::size_t which) {
  const TensorInfo* info = file.find(kNames[which]);
  const std::string path = file.path().string();
  if (info == nullptr) fail("{}: tensor '{}' is missing", path, kNames[which]);
  if (info->dtype != kTypes[which] || info->shape.size() != 1) {
    fail("{}: tensor '{}' is of the wrong kind; got {} with {} dimensions; expected {} with 1", path, kNames[which],
         dtype_name(info->dtype), info->shape.size(), dtype_name(kTypes[which]));
  }
  const at::Tensor tensor = file.tensor(*info).contiguous();
  const T* data = tensor.const_data_ptr<T>();
  return {data, data + tensor.numel()};
}

json metadata_json(const SafetensorsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) fail("{}: metadata '{}' is missing", file.path().string(), key);
  json value = json::parse(found->second, nullptr, false);
  if (value.is_discarded()) fail("{}: metadata '{}' is damaged; expected JSON", file.path().string(), key);
  return value;
}

void check(const std::string& path, const DocumentLosses& rows, std::size_t sources) {
  const std::size_t size = rows.size();
  if (rows.source.size() != size || rows.document.size() != size || rows.tokens.size() != size)
    fail("{}: tensors of unequal lengths; expected one row for each document", path);
  for (std::size_t i = 0; i < size; ++i) {
    if (rows.source[i] < 0 || static_cast<std::size_t>(rows.source[i]) >= sources)
      fail("{}: row {} is of a source without a name; got {}; expected below {}", path, i, rows.source[i], sources);
    if (!std::isfinite(rows.nll[i])) fail("{}: row {} has no finite loss; got {}", path, i, rows.nll[i]);
    if (rows.tokens[i] < 1) fail("{}: row {} has no tokens; got {}; expected at least 1", path, i, rows.tokens[i]);
    if (i > 0 && std::pair(rows.source[i - 1], rows.document[i - 1]) >= std::pair(rows.source[i], rows.document[i]))
      fail("{}: row {} is out of order; expected rows that ascend by source and document", path, i);
  }
}

}  // namespace

void DocumentLosses::add(std::int32_t of_source, std::int64_t of_document, double loss) {
  if (source.empty() || source.back() != of_source || document.back() != of_document) {
    source.push_back(of_source);
    document.push_back(of_document);
    nll.push_back(0.0);
    tokens.push_back(0);
  }
  nll.back() += loss;
  ++tokens.back();
}

void save_documents(const fs::path& path, const DocumentsFile& file) {
  const DocumentLosses& rows = file.losses;
  SafetensorsWriter writer(path, layout(static_cast<std::int64_t>(rows.size())),
                           {{"model", file.model},
                            {"protocol", file.protocol.dump()},
                            {"sources", file.protocol.value("data", json::array()).dump()}});
  writer.write(rows.document.data(), rows.size() * sizeof(std::int64_t));
  writer.write(rows.nll.data(), rows.size() * sizeof(double));
  writer.write(rows.tokens.data(), rows.size() * sizeof(std::int64_t));
  writer.write(rows.source.data(), rows.size() * sizeof(std::int32_t));
  writer.commit();
}

DocumentsFile load_documents(const fs::path& path) {
  const SafetensorsFile file(path);
  DocumentsFile result;
  const auto model = file.metadata().find("model");
  if (model != file.metadata().end()) result.model = model->second;
  result.protocol = metadata_json(file, "protocol");
  const json sources = metadata_json(file, "sources");
  result.losses.document = column<std::int64_t>(file, 0);
  result.losses.nll = column<double>(file, 1);
  result.losses.tokens = column<std::int64_t>(file, 2);
  result.losses.source = column<std::int32_t>(file, 3);
  check(path.string(), result.losses, sources.size());
  return result;
}

}  // namespace espalier
