// SPDX-License-Identifier: Apache-2.0
#include "core/data/tokenizer_files.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include <nlohmann/json.hpp>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"

namespace espalier {

namespace {

using Json = nlohmann::json;
using Vocabulary = std::map<std::string, std::int64_t, std::less<>>;

constexpr std::int64_t kMostTokens = std::int64_t{1} << 31;

fs::path find_json(const fs::path& path) {
  if (fs::is_regular_file(path)) return path;
  if (!fs::is_directory(path)) {
    fail("{}: no such tokenizer; expected 'bytes', a folder with tokenizer.json, or a tokenizer.json", path.string());
  }
  if (fs::is_regular_file(path / "tokenizer.json")) return path / "tokenizer.json";
  if (fs::is_regular_file(path / "tokenizer.model")) {
    fail(
        "{}: no tokenizer.json; got only tokenizer.model; expected tokenizer.json (transformers writes it with "
        "AutoTokenizer.from_pretrained(…).save_pretrained(…))",
        path.string());
  }
  fail("{}: no tokenizer.json in the folder", path.string());
}

void add(Vocabulary& vocabulary, const std::string& token, const Json& id, const fs::path& path) {
  if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() >= kMostTokens) {
    fail("{}: id of token '{}' is not usable; got {}", path.string(), token, id.dump());
  }
  vocabulary[token] = id.get<std::int64_t>();
}

Vocabulary read_vocabulary(const std::string& text, const fs::path& path) {
  // The merges are most of such a file, and nothing here asks for them.
  const auto keep = [](int, Json::parse_event_t event, Json& parsed) {
    return event != Json::parse_event_t::key || parsed != "merges";
  };
  const Json root = Json::parse(text, keep, false);
  const Json model = root.is_object() ? root.value("model", Json()) : Json();
  const Json entries = model.is_object() ? model.value("vocab", Json()) : Json();
  Vocabulary vocabulary;
  if (entries.is_object()) {
    for (const auto& [token, id] : entries.items()) add(vocabulary, token, id, path);
  } else if (entries.is_array()) {  // unigram: [[piece, score], …]
    for (std::size_t id = 0; id < entries.size(); ++id) {
      const bool pair = entries[id].is_array() && !entries[id].empty() && entries[id][0].is_string();
      if (!pair) fail("{}: not a vocabulary; got {} as entry {}", path.string(), entries[id].dump(), id);
      add(vocabulary, entries[id][0].get<std::string>(), Json(id), path);
    }
  } else {
    fail("{}: not a tokenizer.json; expected a JSON object with model.vocab", path.string());
  }
  const Json added = root.value("added_tokens", Json::array());
  for (const Json& token : added.is_array() ? added : Json::array()) {
    const bool usable = token.is_object() && token.contains("id") && token.value("content", Json()).is_string();
    if (!usable) fail("{}: not an added token; got {}", path.string(), token.dump());
    add(vocabulary, token["content"].get<std::string>(), token["id"], path);
  }
  return vocabulary;
}

// A file beside tokenizer.json, or null.
Json read_beside(const fs::path& json, const char* name) {
  const fs::path path = json.parent_path() / name;
  return fs::is_regular_file(path) ? read_json(path) : Json();
}

std::optional<std::int64_t> eos_by_name(const Vocabulary& vocabulary, const fs::path& json, const char* file) {
  const Json config = read_beside(json, file);
  Json token = config.is_object() ? config.value("eos_token", Json()) : Json();
  if (token.is_object()) token = token.value("content", Json());
  if (!token.is_string()) return std::nullopt;
  const auto found = vocabulary.find(token.get_ref<const std::string&>());
  if (found != vocabulary.end()) return found->second;
  fail("{}: eos_token is not in the vocabulary; got '{}'; expected a token of {}", (json.parent_path() / file).string(),
       token.get<std::string>(), json.string());
}

std::optional<std::int64_t> eos_by_id(std::int64_t vocab, const fs::path& json, const char* file) {
  const Json config = read_beside(json, file);
  Json id = config.is_object() ? config.value("eos_token_id", Json()) : Json();
  if (id.is_array() && !id.empty()) id = Json(id[0]);
  if (!id.is_number_integer()) return std::nullopt;
  if (id.get<std::int64_t>() >= 0 && id.get<std::int64_t>() < vocab) return id.get<std::int64_t>();
  fail("{}: eos_token_id is not in the vocabulary; got {}; expected 0 to {}", (json.parent_path() / file).string(),
       id.dump(), vocab - 1);
}

std::int64_t find_eod(const Vocabulary& vocabulary, std::int64_t vocab, const fs::path& json) {
  for (const char* file : {"tokenizer_config.json", "special_tokens_map.json"}) {
    if (const auto id = eos_by_name(vocabulary, json, file)) return *id;
  }
  for (const char* file : {"generation_config.json", "config.json"}) {
    if (const auto id = eos_by_id(vocab, json, file)) return *id;
  }
  fail(
      "{}: nothing says which token ends a document; got no eos_token in tokenizer_config.json or "
      "special_tokens_map.json beside it, and no eos_token_id in generation_config.json or config.json",
      json.string());
}

}  // namespace

Tokenizer read_tokenizer_files(const fs::path& folder_or_json) {
  Tokenizer tokenizer;
  tokenizer.json = find_json(folder_or_json);
  const std::string text = read_text(tokenizer.json);
  const Vocabulary vocabulary = read_vocabulary(text, tokenizer.json);
  for (const auto& [token, id] : vocabulary) tokenizer.vocab = std::max(tokenizer.vocab, id + 1);
  tokenizer.eod = find_eod(vocabulary, tokenizer.vocab, tokenizer.json);
  tokenizer.name = fs::absolute(tokenizer.json).lexically_normal().parent_path().filename().string();
  tokenizer.digest = Digest().add("tokenizers").add(text).add(std::to_string(tokenizer.eod)).hex();
  return tokenizer;
}

}  // namespace espalier
