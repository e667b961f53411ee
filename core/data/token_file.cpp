// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <mutex>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/random.hpp"
#include "core/data/pack_info.hpp"
#include "core/data/token_index.hpp"
#include "core/data/token_type.hpp"
#include "core/data/tokens.hpp"

static_assert(std::endian::native == std::endian::little, "token files are little-endian and are read in place");

namespace espalier {

// A file on disk as a whole; the views that select() makes share it.
struct TokenStore {
  explicit TokenStore(MappedFile file) : bin(std::move(file)) {}

  MappedFile bin;
  std::optional<fs::path> idx;
  TokenType type = TokenType::u8;
  std::int64_t size = 0;
  std::vector<std::int64_t> document_ends;
  std::optional<MappedFile> mask;
  std::optional<PackInfo> info;
  std::optional<DocumentRecords> records;

  mutable std::once_flag digest_once, max_once;
  mutable std::string digest;
  mutable std::int64_t max_token = 0;
};

namespace {

constexpr std::int64_t kLargestToken = std::numeric_limits<std::int32_t>::max();
// Below this a scan costs less than a second, and is worth more than what PREFIX.json claims.
constexpr std::size_t kScanAlways = std::size_t{1} << 30;

// Calls `work` with a pointer of the file's own type.
template <class Work>
auto with_type(const TokenStore& store, Work work) {
  const std::byte* data = store.bin.bytes().data();
  switch (store.type) {
    case TokenType::u8:
      return work(reinterpret_cast<const std::uint8_t*>(data));
    case TokenType::i8:
      return work(reinterpret_cast<const std::int8_t*>(data));
    case TokenType::i16:
      return work(reinterpret_cast<const std::int16_t*>(data));
    case TokenType::i32:
      return work(reinterpret_cast<const std::int32_t*>(data));
    case TokenType::i64:
      return work(reinterpret_cast<const std::int64_t*>(data));
    case TokenType::u16:
      break;
  }
  return work(reinterpret_cast<const std::uint16_t*>(data));
}

[[noreturn]] void fail_token(const TokenStore& store, std::int64_t token, std::int64_t at) {
  fail("{}: not a token; got {} at position {}; expected 0 to {}", store.bin.path().string(), token, at, kLargestToken);
}

void read_tokens(const TokenStore& store, std::int64_t begin, std::int64_t end, std::int64_t* out) {
  with_type(store, [&](const auto* data) {
    std::copy(data + begin, data + end, out);
    const auto wrong = [](std::int64_t token) { return token < 0 || token > kLargestToken; };
    const std::int64_t* bad = std::find_if(out, out + (end - begin), wrong);
    if (bad != out + (end - begin)) fail_token(store, *bad, begin + (bad - out));
  });
}

std::int64_t scan_max(const TokenStore& store) {
  return with_type(store, [&](const auto* data) {
    const auto [low, high] = std::minmax_element(data, data + store.size);
    if (*low < 0) fail_token(store, static_cast<std::int64_t>(*low), low - data);
    if (static_cast<std::int64_t>(*high) > kLargestToken) {
      fail_token(store, static_cast<std::int64_t>(*high), high - data);
    }
    return static_cast<std::int64_t>(*high);
  });
}

struct Found {
  fs::path prefix;
  bool indexed;
};

Found find_files(const fs::path& path) {
  fs::path prefix = path;
  if (path.extension() == ".bin" || path.extension() == ".idx") prefix.replace_extension();
  const PackPaths files(prefix);
  const bool bin = fs::is_regular_file(files.bin), idx = fs::is_regular_file(files.idx);
  if (!bin && idx) fail("{}: not found; got only {}; expected both", files.bin.string(), files.idx.string());
  if (!bin) fail("{}: no token file; expected {} (raw, or with its .idx)", path.string(), files.bin.string());
  if (!idx && path.extension() == ".idx")
    fail("{}: not found; expected the index of {}", path.string(), files.bin.string());
  return {prefix, idx};
}

std::shared_ptr<TokenStore> open_store(const fs::path& path, const std::string& token_type) {
  const Found found = find_files(path);
  const PackPaths files(found.prefix);
  auto store = std::make_shared<TokenStore>(MappedFile(files.bin));
  const auto bytes = static_cast<std::int64_t>(store->bin.bytes().size());
  if (found.indexed) {
    TokenIndex index = read_token_index(files.idx, bytes);
    store->idx = files.idx;
    store->type = index.type;
    store->document_ends = std::move(index.document_ends);
  } else {
    if (token_type.empty()) {
      reject("{}: a raw .bin does not say its type; got no token_type; expected 'uint8', 'uint16' or 'int32'",
             files.bin.string());
    }
    store->type = raw_token_type(token_type);
    if (bytes % size_of(store->type) != 0) {
      fail("{}: size does not divide into tokens of {}; got {} bytes; expected a multiple of {}", files.bin.string(),
           token_type, bytes, size_of(store->type));
    }
    store->document_ends = {bytes / size_of(store->type)};
  }
  store->size = bytes / size_of(store->type);
  if (store->size == 0) fail("{}: holds no tokens; got an empty file", files.bin.string());
  store->info = read_pack_info(files.json, store->size);
  if (found.indexed) {
    store->records = DocumentRecords::open(files.docs, static_cast<std::int64_t>(store->document_ends.size()));
  }
  if (fs::is_regular_file(files.mask)) {
    store->mask.emplace(files.mask);
    if (static_cast<std::int64_t>(store->mask->bytes().size()) != store->size) {
      fail("{}: does not fit its tokens; got {} bytes; expected {}, one a token", files.mask.string(),
           store->mask->bytes().size(), store->size);
    }
  } else if (store->info && store->info->mask) {
    fail("{}: not found; expected the loss mask that {} promises", files.mask.string(), files.json.string());
  }
  return store;
}

}  // namespace

struct TokenFile::State {
  // A run of tokens that lie together in the file.
  struct Segment {
    std::int64_t begin;  // in the view
    std::int64_t file_begin;
  };

  std::shared_ptr<const TokenStore> store;
  std::vector<Segment> segments;
  std::vector<std::int64_t> ends;
  std::vector<std::int64_t> chosen;  // indices in the store; empty: all
  bool whole = true;

  std::int64_t size() const { return ends.back(); }
  std::int64_t original(std::int64_t document) const {
    return whole ? document : chosen[static_cast<std::size_t>(document)];
  }

  // Calls work(file_begin, file_end, offset into the result) for each piece of [begin, end).
  template <class Work>
  void pieces(std::int64_t begin, std::int64_t end, Work work) const {
    ESPALIER_CHECK(0 <= begin && begin <= end && end <= size(), begin, " to ", end, " of ", size());
    auto segment = std::upper_bound(segments.begin(), segments.end(), begin,
                                    [](std::int64_t at, const State::Segment& one) { return at < one.begin; });
    --segment;
    for (std::int64_t at = begin; at < end; ++segment) {
      const bool last = segment + 1 == segments.end();
      const std::int64_t stop = last ? end : std::min(end, (segment + 1)->begin);
      const std::int64_t from = segment->file_begin + (at - segment->begin);
      work(from, from + (stop - at), at - begin);
      at = stop;
    }
  }
};

TokenFile::TokenFile(const fs::path& prefix_or_bin, const std::string& token_type) {
  auto state = std::make_shared<State>();
  state->store = open_store(prefix_or_bin, token_type);
  state->ends = state->store->document_ends;
  state->segments = {{0, 0}};
  state_ = std::move(state);
}

TokenFile TokenFile::select(const std::vector<std::int64_t>& documents) const {
  auto state = std::make_shared<State>();
  state->store = state_->store;
  state->whole = false;
  std::int64_t size = 0, before = -1;
  for (const std::int64_t document : documents) {
    const auto count = static_cast<std::int64_t>(state_->ends.size());
    ESPALIER_CHECK(document > before && document < count, document, " after ", before, " of ", count);
    before = document;
    const std::int64_t original = state_->original(document);
    const std::vector<std::int64_t>& ends = state->store->document_ends;
    const std::int64_t begin = original == 0 ? 0 : ends[static_cast<std::size_t>(original) - 1];
    const std::int64_t end = ends[static_cast<std::size_t>(original)];
    const bool joins =
        !state->segments.empty() && state->segments.back().file_begin + (size - state->segments.back().begin) == begin;
    if (!joins && end > begin) state->segments.push_back({size, begin});
    size += end - begin;
    state->ends.push_back(size);
    state->chosen.push_back(original);
  }
  if (size == 0) fail("{}: no token is left; got a choice of {} documents", path().string(), documents.size());
  return TokenFile(std::move(state));
}

std::int64_t TokenFile::size() const { return state_->size(); }
const std::vector<std::int64_t>& TokenFile::document_ends() const { return state_->ends; }
const fs::path& TokenFile::path() const { return state_->store->bin.path(); }
TokenType TokenFile::type() const { return state_->store->type; }
bool TokenFile::has_loss_mask() const { return state_->store->mask.has_value(); }
bool TokenFile::has_records() const { return state_->store->records.has_value(); }

void TokenFile::read(std::int64_t begin, std::int64_t end, std::int64_t* out) const {
  state_->pieces(begin, end, [&](std::int64_t from, std::int64_t to, std::int64_t offset) {
    read_tokens(*state_->store, from, to, out + offset);
  });
}

void TokenFile::read_mask(std::int64_t begin, std::int64_t end, std::uint8_t* out) const {
  if (!has_loss_mask()) {
    std::fill(out, out + (end - begin), std::uint8_t{1});
    return;
  }
  const std::byte* mask = state_->store->mask->bytes().data();
  state_->pieces(begin, end, [&](std::int64_t from, std::int64_t to, std::int64_t offset) {
    std::transform(mask + from, mask + to, out + offset,
                   [](std::byte learnt) { return learnt == std::byte{0} ? std::uint8_t{0} : std::uint8_t{1}; });
  });
}

std::optional<std::int64_t> TokenFile::text_bytes() const {
  if (!has_records() || state_->whole) {
    if (!state_->whole || !state_->store->info) return std::nullopt;
    return state_->store->info->text_bytes;
  }
  std::uint64_t bytes = 0;
  for (const std::int64_t document : state_->chosen) bytes += (*state_->store->records)[document].text_bytes;
  return static_cast<std::int64_t>(bytes);
}

DocumentRecord TokenFile::record(std::int64_t document) const {
  const std::int64_t original = state_->original(document);
  if (has_records()) return (*state_->store->records)[original];
  return {mix(static_cast<std::uint64_t>(original)), {}, 0};
}

std::int64_t TokenFile::max_token() const {
  const TokenStore& store = *state_->store;
  std::call_once(store.max_once, [&] {
    const bool trust = store.info && store.bin.bytes().size() > kScanAlways;
    store.max_token = trust ? store.info->max_token : scan_max(store);
  });
  return store.max_token;
}

std::string TokenFile::digest() const {
  const TokenStore& store = *state_->store;
  std::call_once(store.digest_once, [&] {
    Digest whole;
    whole.add(digest_of_file(store.bin.path()));
    // A raw file's bytes mean nothing without its type; an index says it itself.
    whole.add(store.idx ? digest_of_file(*store.idx) : std::string(name_of(store.type)));
    whole.add(store.mask ? digest_of_file(store.mask->path()) : std::string());
    store.digest = whole.hex();
  });
  if (state_->whole) return store.digest;
  Digest view;
  view.add(store.digest);
  view.add(state_->chosen.data(), state_->chosen.size() * sizeof(std::int64_t));
  return view.hex();
}

}  // namespace espalier
