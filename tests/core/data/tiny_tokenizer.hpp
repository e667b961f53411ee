// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/base/files.hpp"

namespace espalier::testing {

// A byte-level BPE tokenizer over a, b, c, space, newline and "ä", with one merge, an added end-of-document token, and
// the settings that packing must not obey: a template that adds it everywhere, truncation and padding.
inline constexpr const char* kTinyTokenizer = R"({
  "version": "1.0",
  "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
  "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "a"},
  "added_tokens": [{"id": 8, "content": "<end>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
  "normalizer": null,
  "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<end>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
    "special_tokens": {"<end>": {"id": "<end>", "ids": [8], "tokens": ["<end>"]}}},
  "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
  "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
    "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
    "vocab": {"a": 0, "b": 1, "c": 2, "Ġ": 3, "ab": 4, "Ċ": 5, "Ã": 6, "¤": 7},
    "merges": [["a", "b"]]}
})";

inline void write_tiny_tokenizer(const fs::path& folder) {
  write_text(folder / "tokenizer.json", kTinyTokenizer);
  write_text(folder / "tokenizer_config.json", R"({"eos_token": {"content": "<end>"}})");
}

}  // namespace espalier::testing
