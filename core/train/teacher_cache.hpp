// SPDX-License-Identifier: Apache-2.0
// What the teacher says of the distillation's tokens, computed once and kept on disk for all students.
//
// A cache is a folder of shards, safetensors files that are written once and never changed. It is indexed by window
// (source, number), not by step: one cache serves every seed and every order, and it grows by the windows that are not
// there yet. It holds one of two things:
//   whole       the teacher's final hidden states. The head stays live, which costs little and saves most of the room:
//               the hidden size is a fraction of the vocabulary. Nothing is lost, and in the dtype that is computed in
//               the losses see the same bytes as beside a living teacher.
//   truncated   the k largest logits of each token and the mass of the rest (core/train/truncated_logits.hpp).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "core/checkpoint/safetensors.hpp"
#include "core/data/tokens.hpp"
#include "core/forward/model.hpp"
#include "core/train/truncated_logits.hpp"

namespace espalier {

// All that the numbers in a cache depend on.
struct TeacherCacheForm {
  std::string teacher, data;  // digests: of the model, of the tokens of all sources in their order
  std::int64_t seq_length = 0, vocab = 0, hidden = 0;
  std::int64_t kept = 0;              // tokens of each distribution; vocab: hidden states
  std::int64_t micro_batch = 0;       // sequences of a forward pass, as in training: kernels may look at the shape
  at::ScalarType dtype = at::kFloat;  // of what is stored
  at::ScalarType compute_dtype = at::kFloat;
  std::string machine;  // what else can move the last digit: program, device, threads

  // Not part of what a cache is: about how large its files are.
  std::int64_t shard_bytes = std::int64_t{64} << 20;

  bool whole() const { return kept == vocab; }
  bool lossless() const { return whole() && (dtype == compute_dtype || dtype == at::kFloat); }
  std::map<std::string, std::string> metadata() const;  // of every shard
  std::string key() const;                              // the folder's name: a digest of the metadata
  std::vector<TensorInfo> tensors(std::int64_t windows) const;
  std::int64_t shard_windows() const;               // in a full shard: whole micro-batches
  std::uint64_t bytes(std::int64_t windows) const;  // on disk, of a cache that is filled with so many in one go
};

// What the head is given for the tokens of a micro-batch: one of the two.
struct CachedRows {
  at::Tensor hidden;     // (rows, H)
  TruncatedLogits kept;  // (rows, …)
};

// Of the windows that a training sees: what the cache lost of them.
struct TeacherCacheSummary {
  std::int64_t windows = 0, tokens = 0;
  double tail_mass = 0.0, most_tail_mass = 0.0;  // mean over tokens, largest: the teacher's mass outside what is kept
  double kl = 0.0, most_kl = 0.0;                // nats: RowLoss::kl
  bool in_any_order = true;  // hidden states were seen not to depend on their neighbours in the micro-batch, to the bit
};

class TeacherCache {
 public:
  using Place = TrainingStream::Place;

  // Opens every shard of the folder; there need not be a folder. A shard that cannot be used is an Error which names
  // it; with `damaged` it is noted there instead and left out.
  TeacherCache(const fs::path& folder, TeacherCacheForm form, std::vector<fs::path>* damaged = nullptr);

  const TeacherCacheForm& form() const { return form_; }
  bool has(const Place& place) const { return index_.contains(key_of(place)); }
  std::int64_t windows() const { return static_cast<std::int64_t>(index_.size()); }
  // Shards in which a window's bytes are not those that were written.
  std::vector<fs::path> damaged(const std::vector<Place>& places) const;
  // The rows of these windows one after the other, in the compute dtype and on the device. All must be there.
  CachedRows rows(const std::vector<Place>& places, Compute compute) const;
  TeacherCacheSummary summary(const std::vector<Place>& places) const;

  static fs::path shard_path(const fs::path& folder, std::int64_t number);

 private:
  struct Shard {
    SafetensorsFile file;
    std::map<std::string, at::Tensor> tensors;
  };
  struct Slot {
    std::size_t shard;
    std::int64_t row;
  };
  using Key = std::pair<std::size_t, std::int64_t>;
  static Key key_of(const Place& place) { return {place.source, place.window}; }

  void open(const fs::path& path);
  const Slot& slot(const Place& place) const { return index_.at(key_of(place)); }
  at::Tensor gather(const char* name, const std::vector<Place>& places, at::ScalarType dtype) const;

  TeacherCacheForm form_;
  std::vector<Shard> shards_;
  std::map<Key, Slot> index_;
};

// The checksum of one window of a shard: CRC-32 of its rows in the tensors that hold what the teacher said.
std::int64_t window_checksum(const std::map<std::string, at::Tensor>& tensors, std::int64_t row);

// For `espalier inspect`: what a folder of shards says of itself. Error when there is no shard or one is damaged.
nlohmann::json describe_teacher_cache(const fs::path& folder);
bool is_teacher_cache(const fs::path& folder);

}  // namespace espalier
