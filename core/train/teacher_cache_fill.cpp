// SPDX-License-Identifier: Apache-2.0
#include "core/train/teacher_cache_fill.hpp"

#include <algorithm>
#include <set>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/log.hpp"
#include "core/base/progress.hpp"
#include "core/base/strings.hpp"
#include "core/data/path_lock.hpp"
#include "core/train/kd_head.hpp"

namespace espalier {
namespace {

using Tensors = std::map<std::string, at::Tensor>;

// Computes the windows of one shard after another. Holds one shard in memory, and one chunk of logits.
class Filler {
 public:
  Filler(const TeacherCacheJob& job, WeightSource& teacher) : job_(job), form_(job.form), teacher_(teacher) {
    ESPALIER_CHECK(teacher.spec().vocab == form_.vocab && teacher.spec().hidden == form_.hidden, "another teacher");
    head_ = teacher.outer()[Role::head];
    chunk_ = default_head_chunk(form_.vocab, teacher.compute().device);
  }

  // `windows` are positions in `touched`, at most a shard's.
  void write_shard(const Touched& touched, const std::vector<std::size_t>& windows, const fs::path& path) {
    Tensors tensors = empty_shard(static_cast<std::int64_t>(windows.size()));
    for (std::size_t first = 0; first < windows.size(); first += static_cast<std::size_t>(form_.micro_batch)) {
      throw_if_interrupted();
      group(touched, windows, first, tensors);
    }
    for (std::size_t i = 0; i < windows.size(); ++i) {
      const auto row = static_cast<std::int64_t>(i);
      const TeacherCache::Place& place = touched.places[windows[i]];
      tensors.at("source").mutable_data_ptr<std::int32_t>()[i] = static_cast<std::int32_t>(place.source);
      tensors.at("window").mutable_data_ptr<std::int64_t>()[i] = place.window;
      tensors.at("checksum").mutable_data_ptr<std::int64_t>()[i] = window_checksum(tensors, row);
    }
    std::vector<std::pair<std::string, at::Tensor>> ordered;
    for (const TensorInfo& info : form_.tensors(static_cast<std::int64_t>(windows.size()))) {
      ordered.emplace_back(info.name, tensors.at(info.name));
    }
    save_tensors(path, ordered, form_.metadata());
  }

 private:
  Tensors empty_shard(std::int64_t windows) const {
    Tensors tensors;
    for (const TensorInfo& info : form_.tensors(windows)) {
      tensors.emplace(info.name, at::zeros(info.shape, at::TensorOptions().dtype(info.dtype)));
    }
    return tensors;
  }

  // One forward pass, of as many sequences as in training: where windows are missing at the end, the first stands for
  // them.
  void group(const Touched& touched, const std::vector<std::size_t>& windows, std::size_t first, Tensors& tensors) {
    std::vector<at::Tensor> tokens;
    for (std::int64_t i = 0; i < form_.micro_batch; ++i) {
      const std::size_t at = first + static_cast<std::size_t>(i);
      tokens.push_back(job_.data->batch(touched.sequences[windows[at < windows.size() ? at : first]], 1).tokens);
    }
    const at::Tensor tokens_BT = at::cat(tokens).to(teacher_.compute().device);
    const at::Tensor hidden_BTH = hidden_states(teacher_, tokens_BT);
    if (first == 0) check_order(tokens_BT, hidden_BTH, tensors);
    const auto count = std::min<std::int64_t>(form_.micro_batch, static_cast<std::int64_t>(windows.size() - first));
    for (std::int64_t i = 0; i < count; ++i) {
      const at::Tensor hidden_TH = hidden_BTH[i];
      const auto row = static_cast<std::int64_t>(first) + i;
      if (form_.whole()) {
        tensors.at("hidden")[row].copy_(hidden_TH);
        if (!form_.lossless()) measure_rounding(hidden_TH, tensors, row);
      } else {
        keep_largest(hidden_TH, tensors, row);
      }
    }
  }

  // Do the kernels of this machine give a sequence the same bytes wherever it stands in a micro-batch? Another seed
  // puts it elsewhere.
  void check_order(const at::Tensor& tokens_BT, const at::Tensor& hidden_BTH, Tensors& tensors) {
    const bool same = at::equal(hidden_states(teacher_, tokens_BT.roll(1, 0)), hidden_BTH.roll(1, 0));
    tensors.at("in_any_order").fill_(same ? 1 : 0);
  }

  void measure_rounding(const at::Tensor& hidden_TH, Tensors& tensors, std::int64_t row) {
    const at::Tensor stored_TH = hidden_TH.to(form_.dtype).to(hidden_TH.scalar_type());
    std::vector<at::Tensor> kl;
    for_chunks(hidden_TH, [&](std::int64_t begin, std::int64_t count, const at::Tensor& logits_RV) {
      at::Tensor shown_RV = at::empty_like(logits_RV);
      head_logits(shown_RV, stored_TH.narrow(0, begin, count), head_);
      kl.push_back(divergence(logits_RV, shown_RV).cpu());
    });
    note("kl", kl, tensors, row);
  }

  void keep_largest(const at::Tensor& hidden_TH, Tensors& tensors, std::int64_t row) {
    std::vector<at::Tensor> mass, kl;
    for_chunks(hidden_TH, [&](std::int64_t begin, std::int64_t count, const at::Tensor& logits_RV) {
      const TruncatedLogits kept = truncate(logits_RV, form_.kept, form_.dtype);
      tensors.at("values")[row].narrow(0, begin, count).copy_(kept.values);
      tensors.at("indices")[row].narrow(0, begin, count).copy_(kept.indices);
      tensors.at("tail")[row].narrow(0, begin, count).copy_(kept.tail);
      tensors.at("normalizer")[row].narrow(0, begin, count).copy_(kept.normalizer);
      const RowLoss loss = lost(logits_RV, kept);
      mass.push_back(loss.tail_mass.cpu());
      kl.push_back(loss.kl.cpu());
    });
    note("tail_mass", mass, tensors, row);
    note("kl", kl, tensors, row);
  }

  template <class Body>
  void for_chunks(const at::Tensor& hidden_TH, const Body& body) {
    for (std::int64_t begin = 0; begin < hidden_TH.size(0); begin += chunk_) {
      const std::int64_t count = std::min(chunk_, hidden_TH.size(0) - begin);
      at::Tensor logits_RV = at::empty({count, form_.vocab}, hidden_TH.options().dtype(at::kFloat));
      head_logits(logits_RV, hidden_TH.narrow(0, begin, count), head_);
      body(begin, count, logits_RV);
    }
  }

  static void note(const char* name, const std::vector<at::Tensor>& parts, Tensors& tensors, std::int64_t row) {
    const at::Tensor all = at::cat(parts);
    double* to = tensors.at(name).mutable_data_ptr<double>() + 2 * row;
    to[0] = all.sum().item<double>();
    to[1] = all.max().item<double>();
  }

  const TeacherCacheJob& job_;
  const TeacherCacheForm& form_;
  WeightSource& teacher_;
  at::Tensor head_;
  std::int64_t chunk_ = 0;
};

void remove_damaged(const std::vector<fs::path>& paths) {
  for (const fs::path& path : paths) {
    spdlog::warn("{}: damaged; it is removed, and its windows are computed anew", path.string());
    std::error_code error;
    fs::remove(path, error);
    if (error) fail("{}: cannot remove a damaged file; got {}", path.string(), error.message());
  }
}

std::vector<std::size_t> missing_in(const TeacherCache& cache, const Touched& touched) {
  std::vector<std::size_t> missing;
  for (std::size_t i = 0; i < touched.places.size(); ++i) {
    if (!cache.has(touched.places[i])) missing.push_back(i);
  }
  return missing;
}

void write_missing(const TeacherCacheJob& job, const Touched& touched, const std::vector<std::size_t>& missing) {
  std::error_code ignored;
  const fs::space_info space = fs::space(job.folder, ignored);
  if (!ignored) check_room(job.folder, job.form.bytes(static_cast<std::int64_t>(missing.size())), space.available);
  spdlog::info("{:<8} {} of {} windows are computed", "teacher_cache", missing.size(), touched.places.size());
  const std::unique_ptr<WeightSource> teacher = job.open_teacher();
  const at::NoGradGuard no_grad;
  Filler filler(job, *teacher);
  ProgressBar bar("teacher_cache", static_cast<std::int64_t>(missing.size()));
  const auto each = static_cast<std::size_t>(job.form.shard_windows());
  std::int64_t number = 0;
  for (std::size_t first = 0; first < missing.size(); first += each) {
    const std::size_t end = std::min(first + each, missing.size());
    // The lowest free number: a shard that was removed comes back under its name.
    while (fs::exists(TeacherCache::shard_path(job.folder, number))) ++number;
    filler.write_shard(
        touched,
        {missing.begin() + static_cast<std::ptrdiff_t>(first), missing.begin() + static_cast<std::ptrdiff_t>(end)},
        TeacherCache::shard_path(job.folder, number));
    bar.update(static_cast<std::int64_t>(end));
  }
}

}  // namespace

Touched windows_of(const TrainingStream& data, std::int64_t sequences) {
  Touched touched;
  std::set<std::pair<std::size_t, std::int64_t>> seen;
  const auto all = static_cast<std::size_t>(data.windows());
  for (std::int64_t sequence = 0; sequence < sequences && seen.size() < all; ++sequence) {
    const TeacherCache::Place place = data.place(sequence);
    if (!seen.insert({place.source, place.window}).second) continue;
    touched.sequences.push_back(sequence);
    touched.places.push_back(place);
  }
  return touched;
}

void check_room(const fs::path& folder, std::uint64_t needed, std::uint64_t free) {
  if (needed <= free) return;
  fail(
      "{}: the disk has no room for what the teacher says; got {} free; expected {} (a smaller k or a narrower dtype "
      "in "
      "[teacher_cache], or fewer tokens, take less)",
      folder.string(), human_bytes(static_cast<double>(free)), human_bytes(static_cast<double>(needed)));
}

TeacherCache fill_teacher_cache(const TeacherCacheJob& job, const Touched& touched) {
  {
    std::vector<fs::path> damaged;
    TeacherCache cache(job.folder, job.form, &damaged);
    if (damaged.empty() && missing_in(cache, touched).empty() && cache.damaged(touched.places).empty()) return cache;
  }
  std::error_code error;
  fs::create_directories(job.folder, error);
  if (error) fail("{}: cannot make the folder; got {}", job.folder.string(), error.message());
  const PathLock lock(job.folder);
  std::vector<fs::path> damaged;
  {
    const TeacherCache cache(job.folder, job.form, &damaged);
    for (const fs::path& path : cache.damaged(touched.places)) damaged.push_back(path);
  }
  remove_damaged(damaged);
  const std::vector<std::size_t> missing = missing_in(TeacherCache(job.folder, job.form), touched);
  if (!missing.empty()) write_missing(job, touched, missing);
  return TeacherCache(job.folder, job.form);
}

}  // namespace espalier
