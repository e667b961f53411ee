// SPDX-License-Identifier: Apache-2.0
#include "core/base/error.hpp"
#include "core/data/packer.hpp"
#include "core/data/path_lock.hpp"
#include "core/data/prepare.hpp"

namespace espalier {

PackReport pack(const DataRequest& request, const fs::path& prefix, int workers) {
  if (request.sources.empty()) reject("nothing to pack; got no input; expected files or globs");
  if (prefix.filename().empty()) reject("{}: not a prefix; got a folder; expected FOLDER/NAME", prefix.string());
  std::vector<TextFile> files;
  std::vector<PackSource> sources;
  for (const SourceEntry& entry : request.sources) {
    const Source source = resolve(entry);
    if (source.is_tokens) reject("{}: is packed already; got a token file; expected text", entry.path);
    files.insert(files.end(), source.files.begin(), source.files.end());
    sources.push_back({source.label, static_cast<std::int64_t>(source.files.size())});
  }
  const Tokenizer tokenizer = open_tokenizer(request.tokenizer);
  const int threads = workers > 0 ? workers : default_workers();
  FileDigests digests(request.cache.empty() ? fs::path() : request.cache / "files.index");
  const std::vector<FileFact> facts = digests.facts(files, threads);
  digests.save();
  SeenDocuments seen;
  const PathLock lock(prefix);
  const PackInfo info = pack_files({tokenizer, files, facts, sources, "pack " + prefix.filename().string(),
                                    request.deduplicate ? &seen : nullptr, threads},
                                   prefix);
  return {info.documents, info.duplicates, info.empty, info.tokens, info.text_bytes, info.token_type};
}

}  // namespace espalier
