// SPDX-License-Identifier: Apache-2.0
// From what a recipe's [data] names (text, JSONL, globs, token files) to TokenSources. Text is tokenized and packed
// once into a cache file named by digest, which every run shares.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/data/tokens.hpp"

namespace espalier {

struct SourceEntry {
  std::string path;  // .bin, a prefix of .bin/.idx, .txt, .jsonl, .jsonl.gz, any text file, or a glob
  std::optional<double> weight;
  std::string name;  // default: the path
};

struct DataRequest {
  std::vector<SourceEntry> sources;
  std::string tokenizer = "bytes";  // or a folder with tokenizer.json, or a tokenizer.json
  std::string token_type;           // raw .bin only
  bool deduplicate = false;  // exact duplicates of whole documents count once, across sources, the first one stays
  fs::path cache;            // folder for packed files
};

enum class Split { all, train, valid };

// With `valid_fraction`, a document is in the validation part when the hash of its identity (path below the glob's
// fixed part, and line for JSONL) falls into the fraction. Token files are split at document boundaries the same way.
std::vector<TokenSource> prepare(const DataRequest& request, Split split, double valid_fraction);

// The vocabulary that a tokenizer needs ("bytes": 257, with end-of-document 256).
std::int64_t tokenizer_vocab(const std::string& tokenizer);

struct PackReport {
  std::int64_t documents, duplicates, tokens, bytes;
  std::string token_type;
};
// The `pack` verb: files → PREFIX.bin, PREFIX.idx, PREFIX.json (tokenizer, digests, bytes) and PREFIX.mask if any loss
// is masked.
PackReport pack(const DataRequest& request, const fs::path& prefix, int workers);

}  // namespace espalier
