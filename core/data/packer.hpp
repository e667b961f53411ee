// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/data/file_digests.hpp"
#include "core/data/pack_info.hpp"
#include "core/data/sources.hpp"
#include "core/data/tokenizer.hpp"

namespace espalier {

// Contents of documents that are taken already (DocumentRecord::content).
struct ContentHash {
  std::size_t operator()(const std::array<std::uint64_t, 2>& content) const { return content[0]; }
};
using SeenDocuments = std::unordered_set<std::array<std::uint64_t, 2>, ContentHash>;

std::array<std::uint64_t, 2> content_of(const std::string& sha256);  // from 64 hexadecimal characters

struct PackJob {
  const Tokenizer& tokenizer;
  const std::vector<TextFile>& files;
  const std::vector<FileFact>& facts;  // one a file
  std::vector<PackSource> sources;     // for PREFIX.json
  std::string label;                   // for the progress bar and errors
  SeenDocuments* seen = nullptr;       // given: a document that is in it is dropped, and all that are kept are added
  int workers = 1;
};

// Files → PREFIX.*: reads, tokenizes in `workers` threads (each with a process of its own for a Hugging Face tokenizer)
// and writes in input order, in memory that does not grow with the data. Throws Error when no document is left.
PackInfo pack_files(const PackJob& job, const fs::path& prefix);

// As many as the machine has cores, within reason.
int default_workers();

}  // namespace espalier
