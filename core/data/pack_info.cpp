// SPDX-License-Identifier: Apache-2.0
#include "core/data/pack_info.hpp"

#include <cstring>

#include <nlohmann/json.hpp>

#include "core/base/error.hpp"

namespace espalier {

namespace {
constexpr const char* kFormat = "espalier packed tokens 1";
constexpr std::string_view kMagic = "ESPDOCS1";
constexpr std::size_t kRecord = 32;

void put(std::string& out, std::uint64_t value) { out.append(reinterpret_cast<const char*>(&value), sizeof value); }
}  // namespace

PackPaths::PackPaths(const fs::path& prefix)
    : bin(prefix.string() + ".bin"),
      idx(prefix.string() + ".idx"),
      json(prefix.string() + ".json"),
      docs(prefix.string() + ".docs"),
      mask(prefix.string() + ".mask") {}

void write_pack_info(const fs::path& json, const PackInfo& info) {
  nlohmann::json sources = nlohmann::json::array();
  for (const PackSource& source : info.sources) sources.push_back({{"name", source.name}, {"files", source.files}});
  write_json(json, {{"format", kFormat},
                    {"tokenizer", info.tokenizer},
                    {"tokenizer_digest", info.tokenizer_digest},
                    {"vocab", info.vocab},
                    {"eod", info.eod},
                    {"token_type", info.token_type},
                    {"documents", info.documents},
                    {"duplicates", info.duplicates},
                    {"empty", info.empty},
                    {"tokens", info.tokens},
                    {"text_bytes", info.text_bytes},
                    {"max_token", info.max_token},
                    {"mask", info.mask},
                    {"sources", sources},
                    {"digest", info.digest}});
}

std::optional<PackInfo> read_pack_info(const fs::path& json, std::int64_t tokens) {
  std::error_code error;
  if (!fs::is_regular_file(json, error)) return std::nullopt;
  const nlohmann::json object = nlohmann::json::parse(read_text(json), nullptr, false);
  if (!object.is_object() || object.value("format", nlohmann::json()) != kFormat) return std::nullopt;
  try {
    PackInfo info;
    info.tokenizer = object.at("tokenizer").get<std::string>();
    info.tokenizer_digest = object.at("tokenizer_digest").get<std::string>();
    info.vocab = object.at("vocab").get<std::int64_t>();
    info.eod = object.at("eod").get<std::int64_t>();
    info.token_type = object.at("token_type").get<std::string>();
    info.documents = object.at("documents").get<std::int64_t>();
    info.duplicates = object.at("duplicates").get<std::int64_t>();
    info.empty = object.at("empty").get<std::int64_t>();
    info.tokens = object.at("tokens").get<std::int64_t>();
    info.text_bytes = object.at("text_bytes").get<std::int64_t>();
    info.max_token = object.at("max_token").get<std::int64_t>();
    info.mask = object.at("mask").get<bool>();
    info.digest = object.at("digest").get<std::string>();
    for (const nlohmann::json& source : object.at("sources")) {
      info.sources.push_back({source.at("name").get<std::string>(), source.at("files").get<std::int64_t>()});
    }
    if (info.tokens != tokens) return std::nullopt;
    if (info.text_bytes < 0 || info.max_token < 0) {
      fail("{}: counts are damaged; got {} bytes of text and largest token {}; expected 0 or more", json.string(),
           info.text_bytes, info.max_token);
    }
    return info;
  } catch (const nlohmann::json::exception& problem) {
    fail("{}: does not describe packed tokens as this program writes it; got {}", json.string(), problem.what());
  }
}

std::string document_record_bytes(const std::vector<DocumentRecord>& records) {
  std::string out(kMagic);
  out.reserve(kMagic.size() + records.size() * kRecord);
  for (const DocumentRecord& record : records) {
    put(out, record.identity);
    put(out, record.content[0]);
    put(out, record.content[1]);
    put(out, record.text_bytes);
  }
  return out;
}

std::optional<DocumentRecords> DocumentRecords::open(const fs::path& path, std::int64_t documents) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return std::nullopt;
  MappedFile file(path);
  const std::span<const std::byte> bytes = file.bytes();
  if (bytes.size() < kMagic.size() || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) return std::nullopt;
  const std::size_t expected = kMagic.size() + static_cast<std::size_t>(documents) * kRecord;
  if (bytes.size() != expected) {
    fail("{}: does not fit its index; got {} bytes; expected {} ({} documents)", path.string(), bytes.size(), expected,
         documents);
  }
  return DocumentRecords(std::move(file));
}

DocumentRecord DocumentRecords::operator[](std::int64_t document) const {
  std::array<std::uint64_t, 4> words{};
  std::memcpy(words.data(), file_.bytes().data() + kMagic.size() + static_cast<std::size_t>(document) * kRecord,
              kRecord);
  return {words[0], {words[1], words[2]}, words[3]};
}

}  // namespace espalier
