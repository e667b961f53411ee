// SPDX-License-Identifier: Apache-2.0
// From what a recipe's [data] names (text, JSONL, globs, token files) to TokenSources. Text is tokenized and packed
// once into a cache file named by digest, which every run shares.
//
// Identity. A document is named by where it stands, not by what it says and not by its place in a list: the path below
// the glob's fixed part ("ATen/ops/add.h" for "include/**/*.h"; of a single file its name), and for JSONL ":" and the
// line. Its hash alone decides between train and validation, so a file that is added, or listed elsewhere, moves no
// other document across. A packed file remembers its documents' identities (PREFIX.docs); another program's token file
// has none, and there the index of the document stands for it. Content is a different question: two documents with the
// same bytes are duplicates whatever they are called.
//
// Not here: shuffling (TrainingStream), chat templates, downloading, formats that are not text.
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
  // Exact duplicates of whole documents count once, across sources, the first one stays. Text is compared as text, the
  // documents of other programs' token files as tokens; so a text is not found again among their tokens.
  bool deduplicate = false;
  fs::path cache;  // folder for packed files
};

enum class Split { all, train, valid };

// With `valid_fraction`, a document is in the validation part when the hash of its identity (path below the glob's
// fixed part, and line for JSONL) falls into the fraction. Token files are split at document boundaries the same way. A
// source that has nothing in the validation part is left out of it, with a warning.
std::vector<TokenSource> prepare(const DataRequest& request, Split split, double valid_fraction);

// The vocabulary that a tokenizer needs ("bytes": 257, with end-of-document 256).
std::int64_t tokenizer_vocab(const std::string& tokenizer);

struct PackReport {
  std::int64_t documents = 0, duplicates = 0, empty = 0;  // kept; dropped as seen before; dropped because empty
  std::int64_t tokens = 0, bytes = 0;                     // tokens with one end-of-document a document; bytes of text
  std::string token_type;
};
// The `pack` verb: files → PREFIX.bin, PREFIX.idx, PREFIX.docs (identity, content, bytes a document), PREFIX.json
// (tokenizer, digests, counts) and PREFIX.mask if any loss is masked. `workers` 0: one a core.
PackReport pack(const DataRequest& request, const fs::path& prefix, int workers);

}  // namespace espalier
