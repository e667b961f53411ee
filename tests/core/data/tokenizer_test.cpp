// SPDX-License-Identifier: Apache-2.0
#include "core/data/tokenizer.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <optional>

#include "core/base/error.hpp"
#include "core/data/prepare.hpp"
#include "core/data/tokenizer_process.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/data/tiny_tokenizer.hpp"

namespace fs = std::filesystem;
using espalier::EncodedText;
using espalier::Error;
using espalier::make_encoder;
using espalier::open_tokenizer;
using espalier::Scratch;
using espalier::TextInput;
using espalier::Tokenizer;
using espalier::write_text;
using espalier::testing::write_tiny_tokenizer;

namespace {

using Ids = std::vector<std::int32_t>;

// Sets ESPALIER_PYTHON for one test case.
class ChosenPython {
 public:
  explicit ChosenPython(const std::string& python) {
    if (const char* before = std::getenv("ESPALIER_PYTHON")) before_ = before;
    setenv("ESPALIER_PYTHON", python.c_str(), 1);
  }
  ChosenPython(const ChosenPython&) = delete;
  ChosenPython& operator=(const ChosenPython&) = delete;
  ~ChosenPython() {
    if (before_) setenv("ESPALIER_PYTHON", before_->c_str(), 1);
    if (!before_) unsetenv("ESPALIER_PYTHON");
  }

 private:
  std::optional<std::string> before_;
};

std::string script(const Scratch& scratch, const std::string& body) {
  const fs::path path = scratch / "python";
  write_text(path, "#!/bin/sh\n" + body + "\n");
  fs::permissions(path, fs::perms::owner_all);
  return path.string();
}

}  // namespace

TEST_CASE("bytes are their own tokens") {
  const Tokenizer bytes = open_tokenizer("bytes");
  CHECK(bytes.vocab == 257);
  CHECK(bytes.eod == 256);
  CHECK(espalier::tokenizer_vocab("bytes") == 257);
  const auto encoded = make_encoder(bytes)->encode({{"a\xFF"}, {""}, {"xyz", 2}});
  CHECK(encoded[0].tokens == Ids{97, 255});
  CHECK(encoded[1].tokens.empty());
  CHECK(encoded[2].learnt_from == 2);
}

TEST_CASE("a Hugging Face tokenizer gives its own tokens, without special ones, truncation and padding") {
  const Scratch scratch;
  write_tiny_tokenizer(scratch.folder());
  const Tokenizer tokenizer = open_tokenizer(scratch.folder().string());
  CHECK(tokenizer.vocab == 9);
  CHECK(tokenizer.eod == 8);
  CHECK(tokenizer.name == scratch.folder().filename().string());
  const auto encoder = make_encoder(tokenizer);
  auto encoded = encoder->encode({{"ab abc"}, {""}, {"\xC3\xA4\nba"}});
  CHECK(encoded[0].tokens == Ids{4, 3, 4, 2});
  CHECK(encoded[1].tokens.empty());
  CHECK(encoded[2].tokens == Ids{6, 7, 5, 1, 0});
  // The loss begins with the first token that holds anything of the answer: prompts end after 2, 3 and 8 bytes.
  encoded = encoder->encode({{"ababcc", 2}, {"ababcc", 3}, {"\xC3\xA4", 2}, {"ab", 0}, {"c"}});
  CHECK(encoded[0].tokens == Ids{4, 4, 2, 2});
  CHECK(encoded[0].learnt_from == 1);
  CHECK(encoded[1].learnt_from == 1);
  CHECK(encoded[2].learnt_from == 2);
  CHECK(encoded[3].learnt_from == 0);
  CHECK(encoded[4].tokens == Ids{2});
}

TEST_CASE("tokens are decoded to their text, special and unknown ones to nothing") {
  CHECK(make_encoder(open_tokenizer("bytes"))->decode({97, 256, 255, 300, -1, 0}) == std::string("a\xFF\0", 3));
  const Scratch scratch;
  write_tiny_tokenizer(scratch.folder());
  const auto tiny = make_encoder(open_tokenizer(scratch.folder()));
  CHECK(tiny->decode({4, 3, 6, 7, 8, 100, 5, 2}) == "ab ä\nc");
  CHECK(tiny->decode({}).empty());
  CHECK(tiny->decode({7}) == "\xEF\xBF\xBD");  // half of a character
  for (const std::string text : {"abc  ä\nab", " a", ""}) {
    CHECK(tiny->decode(tiny->encode({{text}})[0].tokens) == text);
  }
}

TEST_CASE("the end-of-document token is looked for beside tokenizer.json") {
  const Scratch scratch;
  write_text(scratch / "tokenizer.json", espalier::testing::kTinyTokenizer);
  const std::string json = (scratch / "tokenizer.json").string(), root = scratch.folder().string();
  CHECK_THROWS_WITH_AS(
      open_tokenizer(root),
      (json + ": nothing says which token ends a document; got no eos_token in tokenizer_config.json or "
              "special_tokens_map.json beside it, and no eos_token_id in generation_config.json or config.json")
          .c_str(),
      Error);
  write_text(scratch / "config.json", R"({"eos_token_id": 5})");
  CHECK(open_tokenizer(json).eod == 5);
  write_text(scratch / "generation_config.json", R"({"eos_token_id": [7, 8]})");
  CHECK(open_tokenizer(json).eod == 7);
  write_text(scratch / "special_tokens_map.json", R"({"eos_token": "c"})");
  CHECK(open_tokenizer(json).eod == 2);
  write_text(scratch / "tokenizer_config.json", R"({"eos_token": "<end>"})");
  CHECK(open_tokenizer(json).eod == 8);
  write_text(scratch / "tokenizer_config.json", R"({"eos_token": "<none>"})");
  CHECK_THROWS_WITH_AS(open_tokenizer(json),
                       (root +
                        "/tokenizer_config.json: eos_token is not in the vocabulary; got '<none>'; expected a "
                        "token of " +
                        json)
                           .c_str(),
                       Error);
}

TEST_CASE("what is no tokenizer is refused") {
  const Scratch scratch;
  const std::string root = scratch.folder().string();
  CHECK_THROWS_WITH_AS(open_tokenizer("byte"),
                       "byte: no such tokenizer; expected 'bytes', a folder with tokenizer.json, or a tokenizer.json",
                       Error);
  CHECK_THROWS_WITH_AS(open_tokenizer(root), (root + ": no tokenizer.json in the folder").c_str(), Error);
  for (const char* text : {"", "[]", "{\"model\": 3}", "{\"model\": {}}"}) {
    write_text(scratch / "tokenizer.json", text);
    CHECK_THROWS_WITH_AS(
        open_tokenizer(root),
        (root + "/tokenizer.json: not a tokenizer.json; expected a JSON object with model.vocab").c_str(), Error);
  }
  write_text(scratch / "tokenizer.json", R"({"model": {"vocab": {"a": -1}}})");
  CHECK_THROWS_WITH_AS(open_tokenizer(root), (root + "/tokenizer.json: id of token 'a' is not usable; got -1").c_str(),
                       Error);
}

TEST_CASE("a vocabulary of pieces with scores is counted") {
  const Scratch scratch;
  write_text(scratch / "tokenizer.json", R"({"model": {"vocab": [["a", 0.0], ["b", -1.5], ["</s>", 0]]}})");
  write_text(scratch / "tokenizer_config.json", R"({"eos_token": "</s>"})");
  CHECK(open_tokenizer(scratch.folder().string()).vocab == 3);
  CHECK(open_tokenizer(scratch.folder().string()).eod == 2);
}

TEST_CASE("text that is not UTF-8 is refused with its place, and a file the library does not take with its reason") {
  const Scratch scratch;
  write_tiny_tokenizer(scratch.folder());
  const auto encoder = make_encoder(open_tokenizer(scratch.folder().string()));
  TextInput input{"ab\xFF", -1, "a.txt", 1000};
  CHECK_THROWS_WITH_AS(encoder->encode({input}),
                       "a.txt: not UTF-8; got byte 0xFF at byte 1002; expected UTF-8 text (the tokenizer 'bytes' takes "
                       "any)",
                       Error);
  write_text(scratch / "tokenizer.json", R"({"model": {"vocab": {"<end>": 0}}})");
  CHECK_THROWS_WITH_AS(make_encoder(open_tokenizer(scratch.folder().string())),
                       doctest::Contains("tokenizer.json: tokenizer failed; "), Error);
}

TEST_CASE("a worker that is missing, lacks the package or dies is one clear error") {
  const Scratch scratch;
  write_tiny_tokenizer(scratch.folder());
  const Tokenizer tokenizer = open_tokenizer(scratch.folder().string());
  const std::string python = espalier::worker_python();
  {
    const ChosenPython chosen("/no/such/python");
    CHECK_THROWS_WITH_AS(
        make_encoder(tokenizer),
        "/no/such/python: tokenizer cannot be started; got No such file or directory; expected a Python "
        "with the package 'tokenizers' (setup.sh makes one, ESPALIER_PYTHON names another)",
        Error);
  }
  {
    const std::string dies = script(scratch, "exit 7");
    const ChosenPython chosen(dies);
    CHECK_THROWS_WITH_AS(make_encoder(tokenizer), (dies + ": tokenizer ended too early; got exit code 7").c_str(),
                         Error);
  }
  {
    const std::string killed = script(scratch, "kill -9 $$");
    const ChosenPython chosen(killed);
    CHECK_THROWS_WITH_AS(make_encoder(tokenizer), (killed + ": tokenizer died; got signal 9").c_str(), Error);
  }
  {
    const ChosenPython chosen(script(scratch, "exec '" + python + "' -S \"$@\""));  // -S: no installed packages
    CHECK_THROWS_WITH_AS(make_encoder(tokenizer), doctest::Contains("the Python package 'tokenizers' is missing; got "),
                         Error);
  }
}
