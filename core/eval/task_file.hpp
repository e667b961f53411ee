// SPDX-License-Identifier: Apache-2.0
// Choice tasks on disk: JSONL (or .jsonl.gz), an item a line, in one of the forms that people have. Other keys are not
// looked at.
//
//   {"prompt": str, "choices": [str, …], "answer": int}       several completions of one prompt
//   {"prompts": [str, …], "completion": str, "answer": int}   one completion of several prompts
//   {"sentence": str, "option1": str, "option2": str, "answer": "1" or "2"}   Winogrande's own: the options fill the
//                 sentence's '_', and what follows it is the completion
//   {"ctx": str, "endings": [str, …], "label": int}           HellaSwag's own: the text as it stands
//
// `answer` counts from 0 in the first two forms, which are taken to the letter: a prompt and its completion follow each
// other as they are. In the other two a space stands between them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/files.hpp"

namespace espalier {

struct Choice {
  std::string prompt, completion;  // what is given, and what is scored
  std::int64_t bytes = 0;          // of the completion as the file has it, without a space that the form adds
};

struct ChoiceItem {
  std::vector<Choice> choices;  // at least 2
  std::size_t answer = 0;
  std::string place;  // "file:line"
};

// Throws Error at `place`: a line that is none of the forms.
ChoiceItem parse_choice_item(std::string_view line, const std::string& place);

// Every item of a file, in order; blank lines are passed over. Throws Error at file:line, or when there is no item;
// RecipeError when the path does not name one .jsonl or .jsonl.gz file.
std::vector<ChoiceItem> read_choice_items(const fs::path& path);

}  // namespace espalier
