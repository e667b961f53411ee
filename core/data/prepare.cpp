// SPDX-License-Identifier: Apache-2.0
#include "core/data/prepare.hpp"

#include <spdlog/spdlog.h>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/data/packer.hpp"
#include "core/data/path_lock.hpp"
#include "core/data/split.hpp"

namespace espalier {

namespace {

class Preparation {
 public:
  explicit Preparation(const DataRequest& request)
      : request_(request), digests_(request.cache.empty() ? fs::path() : request.cache / "files.index") {}

  std::vector<TokenSource> run() {
    std::vector<Source> sources;
    for (const SourceEntry& entry : request_.sources) sources.push_back(resolve(entry));
    std::vector<TokenSource> out;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const bool last = i + 1 == sources.size();
      TokenFile tokens = sources[i].is_tokens ? token_file(sources[i], last) : packed_text(sources[i], last);
      out.push_back({sources[i].name, request_.sources[i].weight, std::move(tokens)});
    }
    digests_.save();
    return out;
  }

 private:
  TokenFile token_file(const Source& source, bool last) {
    TokenFile tokens(source.path, request_.token_type);
    if (!request_.deduplicate) return tokens;
    std::vector<std::int64_t> kept;
    const auto documents = static_cast<std::int64_t>(tokens.document_ends().size());
    for (std::int64_t i = 0; i < documents; ++i) {
      if (seen_.insert(tokens.has_records() ? tokens.record(i).content : token_content(tokens, i)).second) {
        kept.push_back(i);
      }
    }
    if (!last) earlier_ = Digest().add(earlier_).add(tokens.digest()).hex();
    const auto duplicates = documents - static_cast<std::int64_t>(kept.size());
    if (duplicates == 0) return tokens;
    spdlog::info("{}: {} of {} documents seen before, dropped", source.name, with_commas(duplicates),
                 with_commas(documents));
    if (kept.empty()) fail("{}: no document is left; got {} seen before", source.name, duplicates);
    return tokens.select(kept);
  }

  static std::array<std::uint64_t, 2> token_content(const TokenFile& tokens, std::int64_t document) {
    constexpr std::int64_t kBlock = std::int64_t{1} << 17;
    const std::vector<std::int64_t>& ends = tokens.document_ends();
    const auto index = static_cast<std::size_t>(document);
    Digest digest;
    digest.add("tokens");
    std::vector<std::int64_t> block;
    for (std::int64_t at = index == 0 ? 0 : ends[index - 1]; at < ends[index]; at += kBlock) {
      block.resize(static_cast<std::size_t>(std::min(kBlock, ends[index] - at)));
      tokens.read(at, at + static_cast<std::int64_t>(block.size()), block.data());
      digest.add(block.data(), block.size() * sizeof(std::int64_t));
    }
    return content_of(digest.hex());
  }

  TokenFile packed_text(const Source& source, bool last) {
    ESPALIER_CHECK(!request_.cache.empty(), "text needs a cache folder");
    if (tokenizer_.vocab == 0) tokenizer_ = open_tokenizer(request_.tokenizer);
    const std::vector<FileFact> facts = digests_.facts(source.files, default_workers());
    const std::string key = key_of(source, facts);
    const fs::path prefix = request_.cache / key;
    std::optional<TokenFile> tokens = open_cached(prefix, spdlog::level::debug);
    if (!tokens) {
      const PathLock lock(prefix);
      tokens = open_cached(prefix, spdlog::level::warn);  // another process may have made it meanwhile
      if (!tokens) tokens = make(source, facts, prefix);
    }
    if (request_.deduplicate && !last) {
      earlier_ = key;
      for (std::size_t i = 0; i < tokens->document_ends().size(); ++i) {
        seen_.insert(tokens->record(static_cast<std::int64_t>(i)).content);
      }
    }
    return *std::move(tokens);
  }

  // Everything that decides the packed files, what PREFIX.json says of their origin included.
  std::string key_of(const Source& source, const std::vector<FileFact>& facts) const {
    Digest key;
    key.add("espalier packed text 1").add(tokenizer_.name).add(tokenizer_.digest).add(source.label);
    for (std::size_t i = 0; i < facts.size(); ++i) {
      const TextFile& file = source.files[i];
      key.add(file.name).add(file.lines ? "lines" : file.gzip ? "gzip" : "text").add(facts[i].digest);
    }
    if (request_.deduplicate) key.add("deduplicate").add(earlier_);
    return key.hex();
  }

  static std::optional<TokenFile> open_cached(const fs::path& prefix, spdlog::level::level_enum level) {
    const PackPaths paths(prefix);
    if (!fs::is_regular_file(paths.json)) return std::nullopt;  // it is written last
    try {
      TokenFile tokens(prefix, "");
      if (tokens.has_records() && tokens.text_bytes()) return tokens;
      spdlog::log(level, "{}: packed file lacks its records; it is made again", prefix.string());
    } catch (const Error& error) {
      spdlog::log(level, "{}; it is made again", error.what());
    }
    return std::nullopt;
  }

  TokenFile make(const Source& source, const std::vector<FileFact>& facts, const fs::path& prefix) {
    const PackSource origin{source.label, static_cast<std::int64_t>(source.files.size())};
    const PackInfo info = pack_files({tokenizer_,
                                      source.files,
                                      facts,
                                      {origin},
                                      "pack " + source.name,
                                      request_.deduplicate ? &seen_ : nullptr,
                                      default_workers()},
                                     prefix);
    spdlog::info("{}: packed {} documents ({} duplicates and {} empty dropped), {} tokens, {} bytes of text",
                 source.name, with_commas(info.documents), info.duplicates, info.empty, with_commas(info.tokens),
                 with_commas(info.text_bytes));
    return TokenFile(prefix, "");
  }

  const DataRequest& request_;
  FileDigests digests_;
  Tokenizer tokenizer_;
  SeenDocuments seen_;
  std::string earlier_;  // what decided `seen_`
};

}  // namespace

std::vector<TokenSource> prepare(const DataRequest& request, Split split, double valid_fraction) {
  if (request.sources.empty()) reject("no data; got an empty list of sources; expected at least one");
  const bool whole = split == Split::all || (split == Split::train && valid_fraction == 0);
  if (!whole && !(valid_fraction > 0 && valid_fraction < 1)) {
    reject("valid_fraction is out of range; got {}; expected above 0 and below 1", valid_fraction);
  }
  std::vector<TokenSource> sources = Preparation(request).run();
  if (whole) return sources;
  std::vector<TokenSource> parts;
  for (TokenSource& source : sources) {
    std::optional<TokenFile> part = split_part(source.tokens, source.name, split, valid_fraction);
    const std::size_t documents = source.tokens.document_ends().size();
    if (part) {
      parts.push_back({source.name, source.weight, *std::move(part)});
    } else if (split == Split::train) {
      fail(
          "{}: nothing is left to train on; got {} documents, all of them in the validation part; expected more "
          "documents or a smaller valid_fraction than {}",
          source.name, documents, valid_fraction);
    } else {
      spdlog::warn("{}: none of its {} documents falls into the validation part", source.name, documents);
    }
  }
  if (parts.empty()) {
    fail("{}: the validation part is empty; got valid_fraction {}; expected more documents or a larger fraction",
         sources.front().name, valid_fraction);
  }
  return parts;
}

}  // namespace espalier
