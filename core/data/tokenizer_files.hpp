// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/data/tokenizer.hpp"

namespace espalier {

// What the files of a Hugging Face tokenizer say, without running it: the vocabulary (largest token + 1, added tokens
// included) and the end-of-document token. The latter is eos_token of tokenizer_config.json or special_tokens_map.json,
// or eos_token_id of generation_config.json or config.json (of a list the first), in this order.
Tokenizer read_tokenizer_files(const fs::path& folder_or_json);

}  // namespace espalier
