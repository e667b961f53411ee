// SPDX-License-Identifier: Apache-2.0
#include "core/eval/task_file.hpp"

#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/data/gzip.hpp"

using espalier::Choice;
using espalier::ChoiceItem;
using espalier::parse_choice_item;
using espalier::read_choice_items;
using espalier::Scratch;

namespace {

std::string problem(const std::string& line) {
  try {
    parse_choice_item(line, "f:3");
  } catch (const espalier::Error& error) {
    return error.what();
  }
  return "none";
}

const std::string kForms =
    R"(expected "prompt" with "choices", "prompts" with "completion", "sentence" with "option1" and "option2", or "ctx" with "endings")";

void check(const Choice& choice, const std::string& prompt, const std::string& completion, std::int64_t bytes) {
  CHECK(choice.prompt == prompt);
  CHECK(choice.completion == completion);
  CHECK(choice.bytes == bytes);
}

}  // namespace

TEST_CASE("several completions of one prompt, to the letter") {
  const ChoiceItem item = parse_choice_item(
      R"({"id": 7, "prompt": "Two and two is", "choices": [" four", " fünf", "5"], "answer": 0})", "f:1");
  REQUIRE(item.choices.size() == 3);
  check(item.choices[0], "Two and two is", " four", 5);
  check(item.choices[1], "Two and two is", " fünf", 6);  // ü is two bytes
  check(item.choices[2], "Two and two is", "5", 1);
  CHECK(item.answer == 0);
  CHECK(item.place == "f:1");
}

TEST_CASE("one completion of several prompts") {
  const ChoiceItem item =
      parse_choice_item(R"({"prompts": ["", "The cat"], "completion": " slept.", "answer": 1})", "f:1");
  REQUIRE(item.choices.size() == 2);
  check(item.choices[0], "", " slept.", 7);
  check(item.choices[1], "The cat", " slept.", 7);
  CHECK(item.answer == 1);
}

TEST_CASE("Winogrande's own lines: options fill the blank, what follows is scored behind a space") {
  const ChoiceItem item = parse_choice_item(
      R"({"sentence": "The trophy missed the case: the _ was too big. ", "option1": "trophy", "option2": "case", "answer": "1"})",
      "f:1");
  REQUIRE(item.choices.size() == 2);
  check(item.choices[0], "The trophy missed the case: the trophy", " was too big.", 12);
  check(item.choices[1], "The trophy missed the case: the case", " was too big.", 12);
  CHECK(item.answer == 0);
  CHECK(parse_choice_item(R"({"sentence": "_ x", "option1": "a", "option2": "b", "answer": 2})", "f:1").answer == 1);
}

TEST_CASE("HellaSwag's own lines") {
  const ChoiceItem item = parse_choice_item(
      R"({"ind": 4, "ctx": "A man sits.", "endings": ["He runs.", "He stands up."], "label": "1"})", "f:1");
  REQUIRE(item.choices.size() == 2);
  check(item.choices[1], "A man sits.", " He stands up.", 13);
  CHECK(item.answer == 1);
}

TEST_CASE("a line that is no choice task is named with what is wrong") {
  CHECK(problem("{") ==
        "f:3:2: not valid JSON; got syntax error while parsing object key - unexpected end of input; expected string "
        "literal");
  CHECK(problem("[1]") == "f:3: not a JSON object; got array; " + kForms);
  CHECK(problem("{}") == "f:3: not a choice task; got no keys; " + kForms);
  CHECK(problem(R"({"question": "?", "answerKey": "B"})") ==
        "f:3: not a choice task; got the keys answerKey, question; " + kForms);
  CHECK(problem(R"({"prompt": "a", "completion": "b"})") == "f:3: \"choices\" is missing; " + kForms);
  CHECK(problem(R"({"choices": ["a", "b"], "answer": 0})") == "f:3: \"prompt\" is missing; " + kForms);
  CHECK(problem(R"({"prompt": 1, "choices": ["a", "b"], "answer": 0})") ==
        "f:3: \"prompt\" is not a string; got number");
  CHECK(problem(R"({"prompt": "a", "choices": "b", "answer": 0})") ==
        "f:3: \"choices\" is not a list of strings; got string");
  CHECK(problem(R"({"prompt": "a", "choices": ["b", 2], "answer": 0})") ==
        "f:3: \"choices\"[1] is not a string; got number");
  CHECK(problem(R"({"prompt": "a", "choices": ["b", ""], "answer": 0})") ==
        "f:3: \"choices\"[1] is empty; expected text to score");
  CHECK(problem(R"({"prompt": "a", "choices": ["b"], "answer": 0})") ==
        "f:3: \"choices\" leaves no choice; got 1; expected at least 2");
  CHECK(problem(R"({"prompt": "a", "choices": ["b", "c"]})") == "f:3: \"answer\" is missing; " + kForms);
  CHECK(problem(R"({"prompt": "a", "choices": ["b", "c"], "answer": "0"})") ==
        "f:3: \"answer\" is not the number of a choice; got \"0\"; expected 0 to 1");
  CHECK(problem(R"({"prompt": "a", "choices": ["b", "c"], "answer": 2})") ==
        "f:3: \"answer\" is out of range; got 2; expected 0 to 1");
  CHECK(problem(R"({"prompt": "a", "choices": ["b", "c"], "answer": -1})") ==
        "f:3: \"answer\" is out of range; got -1; expected 0 to 1");
  CHECK(problem(R"({"prompts": ["a", "b"], "completion": "", "answer": 0})") ==
        "f:3: \"completion\" is empty; expected text to score");
  CHECK(problem(R"({"prompts": ["a"], "completion": "c", "answer": 0})") ==
        "f:3: \"prompts\" leaves no choice; got 1; expected at least 2");
  CHECK(problem(R"({"sentence": "no gap", "option1": "a", "option2": "b", "answer": "1"})") ==
        "f:3: \"sentence\" has no blank; expected a '_'");
  CHECK(problem(R"({"sentence": "a _ ", "option1": "a", "option2": "b", "answer": "1"})") ==
        "f:3: \"sentence\" ends at its blank; expected text to score after '_'");
  CHECK(problem(R"({"sentence": "a _ b", "option1": "a", "option2": "b", "answer": ""})") ==
        "f:3: \"answer\" is not the number of a choice; got \"\"; expected 1 to 2");
  CHECK(problem(R"({"sentence": "a _ b", "option1": "a", "option2": "b", "answer": "3"})") ==
        "f:3: \"answer\" is out of range; got 3; expected 1 to 2");
  CHECK(problem(R"({"ctx": "a", "endings": ["b", "c"], "label": ""})") ==
        "f:3: \"label\" is not the number of a choice; got \"\"; expected 0 to 1");
}

TEST_CASE("a file: blank lines are passed over but counted, gzip is read, and an empty file is refused") {
  const Scratch scratch;
  const std::string line = R"({"prompt": "a", "choices": ["b", "c"], "answer": 1})";
  espalier::write_text(scratch / "a.jsonl", line + "\n\n  \n" + line + "\n");
  const std::vector<ChoiceItem> items = read_choice_items(scratch / "a.jsonl");
  REQUIRE(items.size() == 2);
  CHECK(items[1].place == (scratch / "a.jsonl").string() + ":4");
  espalier::testing::write_gzip(scratch / "b.jsonl.gz", line + "\n" + line);
  CHECK(read_choice_items(scratch / "b.jsonl.gz").size() == 2);
  espalier::write_text(scratch / "empty.jsonl", "\n");
  CHECK_THROWS_WITH(read_choice_items(scratch / "empty.jsonl"),
                    ((scratch / "empty.jsonl").string() + ": no items; expected a choice task a line").c_str());
  espalier::write_text(scratch / "bad.jsonl", line + "\n{\"prompt\": 3}\n");
  CHECK_THROWS_WITH(read_choice_items(scratch / "bad.jsonl"),
                    ((scratch / "bad.jsonl").string() + ":2: \"prompt\" is not a string; got number").c_str());
  espalier::write_text(scratch / "plain.txt", line);
  CHECK_THROWS_WITH_AS(
      read_choice_items(scratch / "plain.txt"),
      ((scratch / "plain.txt").string() + ": not a file of choice tasks; expected one .jsonl or .jsonl.gz file")
          .c_str(),
      espalier::RecipeError);
  CHECK_THROWS_WITH(read_choice_items(scratch / "emty.jsonl"),
                    ((scratch / "emty.jsonl").string() +
                     ": no such file; expected text, .jsonl, a packed prefix, a .bin or a glob; did you mean "
                     "'empty.jsonl'?")
                        .c_str());
}
