// SPDX-License-Identifier: Apache-2.0
// The loss of a model document by document: what comparisons between models are made of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/base/files.hpp"

namespace espalier {

// One row for each document of which a token was predicted; rows ascend by (source, document).
struct DocumentLosses {
  std::vector<std::int32_t> source;    // index in the order of the sources
  std::vector<std::int64_t> document;  // index of the document in its source
  std::vector<double> nll;             // nats, summed over the document's predicted tokens
  std::vector<std::int64_t> tokens;    // predicted ones, at least 1
  std::size_t size() const { return nll.size(); }
  // Adds one token's loss: to the last row when that is its document. Callers go through the documents in order.
  void add(std::int32_t of_source, std::int64_t of_document, double loss);
};

// RUN/documents/<model>.safetensors and `eval --documents FILE` (design: files and outputs). `protocol` is the one of
// eval.json, whose `data` names the sources with their digests.
struct DocumentsFile {
  std::string model;
  nlohmann::json protocol;
  DocumentLosses losses;
};

void save_documents(const fs::path& path, const DocumentsFile& file);
// Throws Error with the path: a tensor that is missing or of another type or length, rows out of order, a source that
// the metadata does not name, a loss that is not a finite number, a count below 1.
DocumentsFile load_documents(const fs::path& path);

}  // namespace espalier
