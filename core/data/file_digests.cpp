// SPDX-License-Identifier: Apache-2.0
#include "core/data/file_digests.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <iterator>

#include <spdlog/spdlog.h>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/data/byte_stream.hpp"
#include "core/data/ordered_pool.hpp"
#include "core/data/path_lock.hpp"

namespace espalier {

namespace {

constexpr std::string_view kHeader = "espalier file digests 1\n";
constexpr std::size_t kHex = 64;                    // characters of a SHA-256
constexpr std::size_t kLine = kHex + 1 + kHex + 1;  // key, space, digest, newline
constexpr std::size_t kMost = 1'000'000;            // beyond it only what this run used is kept
constexpr std::int64_t kSettled = 2'000'000'000;    // ns

std::string key_of(const TextFile& file, const FileStamp& stamp) {
  Digest key;
  key.add(fs::absolute(file.path).lexically_normal().string());
  key.add(&stamp, sizeof stamp);
  key.add(file.gzip && !file.lines ? "text" : "bytes");
  return key.hex();
}

std::string content_digest(const TextFile& file) {
  ByteStream stream(file.path, file.gzip && !file.lines);
  Digest digest;
  std::vector<char> block(std::size_t{1} << 20);
  for (std::size_t got = block.size(); got == block.size();) {
    got = stream.read(block.data(), block.size());
    digest.add(block.data(), got);
    throw_if_interrupted();
  }
  return digest.hex();
}

FileFact read_fact(const TextFile& file, const FileStamp& stamp) {
  FileFact fact{content_digest(file), stamp};
  if (stamp_of(file.path) != stamp)
    fail("{}: changed while it was read; expected it to stay as it is", file.path.string());
  return fact;
}

bool settled(const FileStamp& stamp) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::int64_t now_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  return std::max(stamp.modified_ns, stamp.changed_ns) < now_ns - kSettled;
}

bool is_hex(std::string_view text) { return text.find_first_not_of("0123456789abcdef") == std::string_view::npos; }

std::map<std::string, std::string> read_memory(const fs::path& path) {
  std::map<std::string, std::string> known;
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return known;
  const std::string text = read_text(path);
  if (!text.starts_with(kHeader)) return known;
  for (std::size_t at = kHeader.size(); at + kLine <= text.size(); at += kLine) {
    const std::string_view line(text.data() + at, kLine);
    const std::string_view key = line.substr(0, kHex), digest = line.substr(kHex + 1, kHex);
    if (line[kHex] != ' ' || line.back() != '\n' || !is_hex(key) || !is_hex(digest)) return {};
    known.emplace_hint(known.end(), key, digest);
  }
  return known;
}

}  // namespace

FileStamp stamp_of(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) fail("{}: cannot read; got {}", path.string(), std::strerror(errno));
  const auto ns = [](const timespec& time) { return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; };
  return {static_cast<std::uint64_t>(status.st_size), status.st_dev, status.st_ino, ns(status.st_mtim),
          ns(status.st_ctim)};
}

FileDigests::FileDigests(fs::path memory) : memory_(std::move(memory)) {
  if (!memory_.empty()) known_ = read_memory(memory_);
}

std::vector<FileFact> FileDigests::facts(const std::vector<TextFile>& files, int workers) {
  std::vector<FileFact> facts(files.size());
  std::vector<std::string> keys(files.size());
  std::vector<std::size_t> unknown;
  for (std::size_t i = 0; i < files.size(); ++i) {
    facts[i].stamp = stamp_of(files[i].path);
    keys[i] = key_of(files[i], facts[i].stamp);
    const auto found = known_.find(keys[i]);
    if (found == known_.end()) {
      unknown.push_back(i);
    } else {
      facts[i].digest = found->second;
      used_.insert(*found);
    }
  }
  if (unknown.empty()) return facts;
  OrderedPool<std::size_t, FileFact> pool(workers,
                                          [&](int, std::size_t i) { return read_fact(files[i], facts[i].stamp); });
  for (std::size_t next = 0, done = 0; done < unknown.size(); ++done) {
    while (next < unknown.size() && !pool.full()) pool.push(unknown[next++]);
    const std::size_t i = unknown[done];
    facts[i].digest = pool.pop().digest;
    if (!settled(facts[i].stamp)) continue;
    known_[keys[i]] = used_[keys[i]] = facts[i].digest;
    grown_ = true;
  }
  return facts;
}

void FileDigests::save() const {
  if (memory_.empty() || !grown_) return;
  try {
    const PathLock lock(memory_);
    std::map<std::string, std::string> all = read_memory(memory_);  // others may have added to it
    all.insert(known_.begin(), known_.end());
    std::string text(kHeader);
    for (const auto& [key, digest] : all.size() > kMost ? used_ : all)
      fmt::format_to(std::back_inserter(text), "{} {}\n", key, digest);
    write_text(memory_, text);
  } catch (const Error& error) {
    spdlog::debug("digests of files are not remembered: {}", error.what());
  }
}

}  // namespace espalier
