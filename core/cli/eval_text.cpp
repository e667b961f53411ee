// SPDX-License-Identifier: Apache-2.0
#include <ATen/ops/tensor.h>

#include "core/base/error.hpp"
#include "core/cli/eval_model.hpp"
#include "core/data/tokenizer.hpp"
#include "core/data/utf8.hpp"
#include "core/forward/generate.hpp"

namespace espalier {

namespace {

// Every byte that belongs to no character becomes U+FFFD.
std::string valid_utf8(std::string text) {
  for (std::size_t bad = first_invalid_utf8(text); bad != std::string::npos; bad = first_invalid_utf8(text)) {
    text.replace(bad, 1, "\xEF\xBF\xBD");
  }
  return text;
}

using Ids = std::vector<std::int32_t>;

// Of prompt and continuation together, without the prompt's: a tokenizer may write a token in another way at a
// beginning.
std::string continuation(Encoder& encoder, const Ids& prompt, const Ids& fresh) {
  Ids all = prompt;
  all.insert(all.end(), fresh.begin(), fresh.end());
  const std::string before = encoder.decode(prompt), whole = encoder.decode(all);
  return whole.starts_with(before) ? whole.substr(before.size()) : encoder.decode(fresh);
}

}  // namespace

TextRequest text_request_of(const CommandLine& line) {
  TextRequest request{line.all("generate"), line.number("new-tokens")};
  if (request.new_tokens < 1) reject("--new-tokens: out of range; got {}; expected at least 1", request.new_tokens);
  for (const std::string& prompt : request.prompts) {
    if (prompt.empty()) reject("--generate: empty prompt; expected text to go on from");
  }
  return request;
}

nlohmann::json generate_texts(WeightSource& weights, const EvalModel& model, const TextRequest& request) {
  const Tokenizer tokenizer = open_tokenizer(model.tokenizer);
  const std::unique_ptr<Encoder> encoder = make_encoder(tokenizer);
  nlohmann::json texts = nlohmann::json::array();
  for (const std::string& prompt : request.prompts) {
    const Ids ids = encoder->encode({{.text = prompt, .place = "--generate"}}).front().tokens;
    if (ids.empty()) fail("--generate: the tokenizer makes no token of the prompt; got '{}'", prompt);
    const at::Tensor tokens = at::tensor(at::ArrayRef<std::int32_t>(ids), at::kInt).to(at::kLong).unsqueeze(0);
    const std::vector<std::int64_t> made =
        generate(weights, tokens, {.new_tokens = request.new_tokens, .stop = {tokenizer.eod}}).front();
    const std::string text = continuation(*encoder, ids, Ids(made.begin(), made.end()));
    texts.push_back({{"prompt", valid_utf8(prompt)},
                     {"text", valid_utf8(text)},
                     {"tokens", made},
                     {"stopped", made.back() == tokenizer.eod}});
  }
  return texts;
}

std::string texts_text(const nlohmann::json& generated) {
  std::string text;
  for (const nlohmann::json& one : generated) {
    text += one["prompt"].get<std::string>() + one["text"].get<std::string>() + "\n";
  }
  return text;
}

}  // namespace espalier
