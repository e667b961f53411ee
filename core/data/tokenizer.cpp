// SPDX-License-Identifier: Apache-2.0
#include "core/data/tokenizer.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/data/prepare.hpp"
#include "core/data/tokenizer_files.hpp"
#include "core/data/tokenizer_process.hpp"
#include "core/data/utf8.hpp"

namespace espalier {

namespace {

class ByteEncoder : public Encoder {
 public:
  std::vector<EncodedText> encode(const std::vector<TextInput>& texts) override {
    std::vector<EncodedText> encoded;
    for (const TextInput& input : texts) {
      EncodedText one;
      one.tokens.resize(input.text.size());
      std::transform(input.text.begin(), input.text.end(), one.tokens.begin(),
                     [](char byte) { return static_cast<std::int32_t>(static_cast<unsigned char>(byte)); });
      one.learnt_from = static_cast<std::size_t>(std::max<std::int64_t>(0, input.prompt_bytes));
      encoded.push_back(std::move(one));
    }
    return encoded;
  }

  std::string decode(const std::vector<std::int32_t>& tokens) override {
    std::string text;
    for (const std::int32_t token : tokens) {
      if (token >= 0 && token < 256) text.push_back(static_cast<char>(static_cast<unsigned char>(token)));
    }
    return text;
  }
};

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

class ProcessEncoder : public Encoder {
 public:
  explicit ProcessEncoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer), process_(tokenizer.json) {}

  std::vector<EncodedText> encode(const std::vector<TextInput>& texts) override {
    std::string request;
    put(request, static_cast<std::uint32_t>(texts.size()));
    for (const TextInput& input : texts) {
      const std::size_t bad = first_invalid_utf8(input.text);
      if (bad != std::string_view::npos) {
        fail("{}: not UTF-8; got byte 0x{:02X} at byte {}; expected UTF-8 text (the tokenizer 'bytes' takes any)",
             input.place, static_cast<unsigned char>(input.text[bad]), input.offset + bad);
      }
      put(request, static_cast<std::int64_t>(input.text.size()));
      put(request, input.prompt_bytes);
      request += input.text;
    }
    return read_reply(process_.ask(request), texts.size());
  }

  std::string decode(const std::vector<std::int32_t>& tokens) override {
    std::string request;
    put(request, std::numeric_limits<std::uint32_t>::max());  // in place of a number of texts
    for (const std::int32_t token : tokens) {
      if (token >= 0 && token < tokenizer_.vocab) put(request, token);
    }
    return process_.ask(request);
  }

 private:
  std::vector<EncodedText> read_reply(const std::string& reply, std::size_t texts) const {
    std::vector<EncodedText> encoded(texts);
    std::size_t at = 0;
    const auto take = [&](void* to, std::size_t bytes) {
      if (reply.size() - at < bytes) fail("{}: tokenizer answers nonsense; got a reply cut short", tokenizer_.name);
      if (bytes > 0) std::memcpy(to, reply.data() + at, bytes);
      at += bytes;
    };
    for (EncodedText& one : encoded) {
      std::uint32_t head[2] = {0, 0};
      take(head, sizeof head);
      if (head[0] > (reply.size() - at) / sizeof(std::int32_t) || head[1] > head[0]) {
        fail("{}: tokenizer answers nonsense; got {} tokens", tokenizer_.name, head[0]);
      }
      one.tokens.resize(head[0]);
      one.learnt_from = head[1];
      take(one.tokens.data(), one.tokens.size() * sizeof(std::int32_t));
      for (const std::int32_t token : one.tokens) {
        if (token >= 0 && token < tokenizer_.vocab) continue;
        fail("{}: tokenizer gives a token that is not in its vocabulary; got {}; expected 0 to {}", tokenizer_.name,
             token, tokenizer_.vocab - 1);
      }
    }
    return encoded;
  }

  Tokenizer tokenizer_;
  TokenizerProcess process_;
};

}  // namespace

Tokenizer open_tokenizer(const std::string& name) {
  if (name != "bytes") return read_tokenizer_files(name);
  return {"bytes", digest_of("bytes, end of document 256"), 257, 256, {}};
}

std::int64_t tokenizer_vocab(const std::string& tokenizer) { return open_tokenizer(tokenizer).vocab; }

std::unique_ptr<Encoder> make_encoder(const Tokenizer& tokenizer) {
  if (tokenizer.json.empty()) return std::make_unique<ByteEncoder>();
  return std::make_unique<ProcessEncoder>(tokenizer);
}

}  // namespace espalier
