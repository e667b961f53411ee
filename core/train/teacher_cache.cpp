// SPDX-License-Identifier: Apache-2.0
#include "core/train/teacher_cache.hpp"

#include <zlib.h>

#include <algorithm>
#include <set>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/checkpoint/safetensors_header.hpp"

namespace espalier {
namespace {

constexpr const char* kFormat = "espalier teacher cache 1";
constexpr const char* kShardPrefix = "shard-";

// The tensors that hold what the teacher said, one row for each window; the others are about the windows.
constexpr const char* kContent[] = {"hidden", "values", "indices", "tail", "normalizer"};

std::vector<fs::path> shards_of(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(kShardPrefix) && entry->path().extension() == ".safetensors") paths.push_back(entry->path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

void check_metadata(const SafetensorsFile& file, const std::map<std::string, std::string>& expected) {
  for (const auto& [key, value] : expected) {
    const auto found = file.metadata().find(key);
    const std::string got = found == file.metadata().end() ? "nothing" : "'" + found->second + "'";
    if (got != "'" + value + "'") {
      fail("{}: not a shard of this teacher cache; got {} = {}; expected '{}'", file.path().string(), key, got, value);
    }
  }
}

// The tensors that the form has for the number of windows in the file.
std::map<std::string, at::Tensor> read_tensors(const SafetensorsFile& file, const TeacherCacheForm& form) {
  const TensorInfo* windows = file.find("window");
  if (windows == nullptr || windows->shape.size() != 1) fail("{}: has no list of windows", file.path().string());
  std::map<std::string, at::Tensor> tensors;
  for (const TensorInfo& expected : form.tensors(windows->shape[0])) {
    const TensorInfo* info = file.find(expected.name);
    if (info == nullptr || info->dtype != expected.dtype || info->shape != expected.shape) {
      fail("{}: tensor '{}' is missing or has another shape than the metadata says", file.path().string(),
           expected.name);
    }
    tensors.emplace(expected.name, file.tensor(*info));
  }
  return tensors;
}

std::int64_t number_in(const SafetensorsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  const bool digits = found != file.metadata().end() && !found->second.empty() && found->second.size() <= 15 &&
                      found->second.find_first_not_of("0123456789") == std::string::npos;
  if (!digits)
    fail("{}: not a shard of a teacher cache; expected a number '{}' in its metadata", file.path().string(), key);
  return std::stoll(found->second);
}

std::string text_in(const SafetensorsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) {
    fail("{}: not a shard of a teacher cache; expected '{}' in its metadata", file.path().string(), key);
  }
  return found->second;
}

// The form that a shard says it has.
TeacherCacheForm form_of(const fs::path& path) {
  const SafetensorsFile file(path);
  if (text_in(file, "format") != kFormat) check_metadata(file, {{"format", kFormat}});
  TeacherCacheForm form;
  form.teacher = text_in(file, "teacher_digest");
  form.data = text_in(file, "data_digest");
  form.seq_length = number_in(file, "seq_length");
  form.vocab = number_in(file, "vocab");
  form.hidden = number_in(file, "hidden");
  form.kept = number_in(file, "k");
  form.micro_batch = number_in(file, "micro_batch");
  form.dtype = dtype_from_config(text_in(file, "dtype"), path.string());
  form.compute_dtype = dtype_from_config(text_in(file, "compute_dtype"), path.string());
  form.machine = text_in(file, "machine");
  return form;
}

}  // namespace

std::map<std::string, std::string> TeacherCacheForm::metadata() const {
  return {{"format", kFormat},
          {"content", whole() ? "final hidden states" : "largest logits"},
          {"teacher_digest", teacher},
          {"data_digest", data},
          {"seq_length", std::to_string(seq_length)},
          {"vocab", std::to_string(vocab)},
          {"hidden", std::to_string(hidden)},
          {"k", std::to_string(kept)},
          {"tail", whole() ? "none" : "one mass, spread evenly"},
          {"micro_batch", std::to_string(micro_batch)},
          {"dtype", dtype_to_config(dtype)},
          {"compute_dtype", dtype_to_config(compute_dtype)},
          {"machine", machine}};
}

std::string TeacherCacheForm::key() const {
  Digest digest;
  for (const auto& [name, value] : metadata()) digest.add(name).add(value);
  return digest.hex();
}

std::vector<TensorInfo> TeacherCacheForm::tensors(std::int64_t windows) const {
  std::vector<TensorInfo> list;
  const auto add = [&](const char* name, at::ScalarType type, std::vector<std::int64_t> shape) {
    list.push_back({.name = name, .dtype = type, .shape = std::move(shape), .begin = 0, .end = 0});
  };
  add("window", at::kLong, {windows});
  add("checksum", at::kLong, {windows});
  add("tail_mass", at::kDouble, {windows, 2});  // over the window's tokens: sum, largest
  add("kl", at::kDouble, {windows, 2});
  add("source", at::kInt, {windows});
  if (whole()) {
    add("hidden", dtype, {windows, seq_length, hidden});
  } else {
    add("tail", at::kFloat, {windows, seq_length});
    add("normalizer", at::kFloat, {windows, seq_length});
    const at::ScalarType index = index_type(vocab);
    // The wider type first: every tensor is then aligned.
    const auto values = [&] { add("values", dtype, {windows, seq_length, kept}); };
    if (c10::elementSize(dtype) >= c10::elementSize(index)) values();
    add("indices", index, {windows, seq_length, kept});
    if (c10::elementSize(dtype) < c10::elementSize(index)) values();
  }
  add("in_any_order", at::kByte, {1});
  return list;
}

std::int64_t TeacherCacheForm::shard_windows() const {
  std::int64_t bytes = 0;
  for (const TensorInfo& info : tensors(1)) {
    bytes += info.elements() * static_cast<std::int64_t>(c10::elementSize(info.dtype));
  }
  return std::max<std::int64_t>(1, shard_bytes / (bytes * micro_batch)) * micro_batch;
}

std::uint64_t TeacherCacheForm::bytes(std::int64_t windows) const {
  const auto shard = [&](std::int64_t count) {
    std::vector<TensorInfo> list = tensors(count);
    std::uint64_t end = 0;
    for (TensorInfo& info : list) {
      info.begin = end;
      info.end = end += static_cast<std::uint64_t>(info.elements()) * c10::elementSize(info.dtype);
    }
    return sizeof(std::uint64_t) + header_text(list, metadata()).size() + end;
  };
  const std::int64_t each = shard_windows();
  return static_cast<std::uint64_t>(windows / each) * (windows >= each ? shard(each) : 0) +
         (windows % each > 0 ? shard(windows % each) : 0);
}

TeacherCache::TeacherCache(const fs::path& folder, TeacherCacheForm form, std::vector<fs::path>* damaged)
    : form_(std::move(form)) {
  for (const fs::path& path : shards_of(folder)) {
    try {
      open(path);
    } catch (const Error&) {
      if (damaged == nullptr) throw;
      damaged->push_back(path);
    }
  }
}

void TeacherCache::open(const fs::path& path) {
  Shard shard{SafetensorsFile(path), {}};
  check_metadata(shard.file, form_.metadata());
  shard.tensors = read_tensors(shard.file, form_);
  const at::Tensor source = shard.tensors.at("source"), window = shard.tensors.at("window");
  for (std::int64_t row = 0; row < window.size(0); ++row) {
    const std::int64_t from = source.const_data_ptr<std::int32_t>()[row],
                       number = window.const_data_ptr<std::int64_t>()[row];
    if (from < 0 || number < 0) fail("{}: the list of windows is damaged", path.string());
    // Two shards may hold one window when programs that did not see each other's lock filled them; either will do.
    index_.emplace(Key{static_cast<std::size_t>(from), number}, Slot{shards_.size(), row});
  }
  shards_.push_back(std::move(shard));
}

std::vector<fs::path> TeacherCache::damaged(const std::vector<Place>& places) const {
  std::set<fs::path> paths;
  for (const Place& place : places) {
    if (!has(place)) continue;
    const Slot& at = slot(place);
    const Shard& shard = shards_[at.shard];
    if (paths.contains(shard.file.path())) continue;
    const std::int64_t expected = shard.tensors.at("checksum").const_data_ptr<std::int64_t>()[at.row];
    if (window_checksum(shard.tensors, at.row) != expected) paths.insert(shard.file.path());
  }
  // What was read need not stay resident.
  for (const Shard& shard : shards_) {
    for (const TensorInfo& info : shard.file.tensors()) shard.file.forget(info);
  }
  return {paths.begin(), paths.end()};
}

at::Tensor TeacherCache::gather(const char* name, const std::vector<Place>& places, at::ScalarType dtype) const {
  const at::Tensor& any = shards_.at(slot(places.front()).shard).tensors.at(name);
  std::vector<std::int64_t> shape = any.sizes().vec();
  shape[0] = static_cast<std::int64_t>(places.size());
  // A copy: kernels may look at how memory is aligned, and in a file it is aligned otherwise than a living teacher's.
  at::Tensor out = at::empty(shape, any.options().dtype(dtype));
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Slot& at = slot(places[i]);
    const Shard& shard = shards_[at.shard];
    const at::Tensor row = shard.tensors.at(name)[at.row];
    out[static_cast<std::int64_t>(i)].copy_(row);
    const auto* begin = static_cast<const std::byte*>(row.const_data_ptr());
    shard.file.map().forget(static_cast<std::size_t>(begin - shard.file.map().bytes().data()), row.nbytes());
  }
  return out.flatten(0, 1);
}

CachedRows TeacherCache::rows(const std::vector<Place>& places, Compute compute) const {
  for (const Place& place : places) {
    ESPALIER_CHECK(has(place), "window ", place.window, " of source ", place.source, " is not in the teacher's cache");
  }
  if (form_.whole()) return {gather("hidden", places, compute.dtype).to(compute.device), {}};
  const auto kept = [&](const char* name, at::ScalarType dtype) {
    return gather(name, places, dtype).to(compute.device);
  };
  return {{},
          {kept("values", form_.dtype), kept("indices", index_type(form_.vocab)), kept("tail", at::kFloat),
           kept("normalizer", at::kFloat)}};
}

TeacherCacheSummary TeacherCache::summary(const std::vector<Place>& places) const {
  TeacherCacheSummary summary;
  for (const Place& place : places) {
    const Slot& at = slot(place);
    const auto& tensors = shards_[at.shard].tensors;
    const double* mass = tensors.at("tail_mass").const_data_ptr<double>() + 2 * at.row;
    const double* kl = tensors.at("kl").const_data_ptr<double>() + 2 * at.row;
    summary.tail_mass += mass[0];
    summary.kl += kl[0];
    summary.most_tail_mass = std::max(summary.most_tail_mass, mass[1]);
    summary.most_kl = std::max(summary.most_kl, kl[1]);
    summary.in_any_order = summary.in_any_order && tensors.at("in_any_order").const_data_ptr<std::uint8_t>()[0] == 1;
    ++summary.windows;
  }
  summary.tokens = summary.windows * form_.seq_length;
  const double tokens = std::max(1.0, static_cast<double>(summary.tokens));
  summary.tail_mass /= tokens;
  summary.kl /= tokens;
  return summary;
}

fs::path TeacherCache::shard_path(const fs::path& folder, std::int64_t number) {
  return folder / fmt::format("{}{:05}.safetensors", kShardPrefix, number);
}

std::int64_t window_checksum(const std::map<std::string, at::Tensor>& tensors, std::int64_t row) {
  uLong checksum = crc32(0, nullptr, 0);
  for (const char* name : kContent) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) continue;
    const at::Tensor content = found->second[row];
    checksum = crc32_z(checksum, static_cast<const Bytef*>(content.const_data_ptr()), content.nbytes());
  }
  return static_cast<std::int64_t>(checksum);
}

bool is_teacher_cache(const fs::path& folder) { return !shards_of(folder).empty(); }

nlohmann::json describe_teacher_cache(const fs::path& folder) {
  const std::vector<fs::path> paths = shards_of(folder);
  if (paths.empty()) fail("{}: there is no shard of a teacher cache", folder.string());
  const TeacherCache cache(folder, form_of(paths.front()));
  std::vector<TeacherCache::Place> places;
  std::map<std::size_t, std::int64_t> sources;
  std::uint64_t bytes = 0;
  for (const fs::path& path : paths) {
    const SafetensorsFile file(path);
    bytes += file.map().bytes().size();
    const auto tensors = read_tensors(file, cache.form());
    for (std::int64_t row = 0; row < tensors.at("window").size(0); ++row) {
      places.push_back({static_cast<std::size_t>(tensors.at("source")[row].item<std::int64_t>()),
                        tensors.at("window")[row].item<std::int64_t>()});
      ++sources[places.back().source];
    }
  }
  const std::vector<fs::path> damaged = cache.damaged(places);
  if (!damaged.empty()) {
    fail(
        "{}: damaged, a window's checksum is another; expected what was written: remove the file, and the next run "
        "computes its windows again",
        damaged.front().string());
  }
  const TeacherCacheSummary summary = cache.summary(places);
  nlohmann::json json = {{"kind", "teacher cache"},
                         {"form", cache.form().metadata()},
                         {"shards", paths.size()},
                         {"bytes", bytes},
                         {"windows", summary.windows},
                         {"tokens", summary.tokens},
                         {"tail_mass", {{"mean", summary.tail_mass}, {"max", summary.most_tail_mass}}},
                         {"kl_lost", {{"mean", summary.kl}, {"max", summary.most_kl}}},
                         {"in_any_order", summary.in_any_order}};
  for (const auto& [source, windows] : sources) json["windows_of_source"].push_back({source, windows});
  return json;
}

}  // namespace espalier
