// SPDX-License-Identifier: Apache-2.0
// Text to tokens: bytes as they are, or a Hugging Face tokenizer run by the `tokenizers` package in worker processes.
// No special token is added but the end-of-document between documents, which the packer writes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/files.hpp"

namespace espalier {

struct Tokenizer {
  std::string name;    // "bytes", or the name of the tokenizer's folder
  std::string digest;  // of all that decides the tokens
  std::int64_t vocab = 0, eod = 0;
  fs::path json;  // tokenizer.json; empty: bytes
};

// "bytes", a folder with tokenizer.json, or a tokenizer.json (what lies beside it is read too). Throws Error when there
// is none, or when nothing says which token ends a document.
Tokenizer open_tokenizer(const std::string& name);

struct TextInput {
  std::string_view text;
  std::int64_t prompt_bytes = -1;  // tokens that end within them are not learnt; -1: all are learnt
  std::string place = {};          // for errors: the file, and the line in JSONL
  std::uint64_t offset = 0;        // where a piece of a long document begins, for errors
};

struct EncodedText {
  std::vector<std::int32_t> tokens;
  std::size_t learnt_from = 0;
};

// Belongs to one thread.
class Encoder {
 public:
  virtual ~Encoder() = default;
  virtual std::vector<EncodedText> encode(const std::vector<TextInput>& texts) = 0;
  // The text of tokens; of bytes perhaps no UTF-8. Special tokens have none, nor have those that the tokenizer does not
  // know: a model's vocabulary may be larger.
  virtual std::string decode(const std::vector<std::int32_t>& tokens) = 0;
};

std::unique_ptr<Encoder> make_encoder(const Tokenizer& tokenizer);

}  // namespace espalier
