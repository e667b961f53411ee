// SPDX-License-Identifier: Apache-2.0
// Rows of tokens: boundaries, shots, truncation, sharing.
#include "core/eval/choice_task.hpp"

#include <cmath>
#include <set>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "tests/core/data/tiny_tokenizer.hpp"
#include "tests/core/eval/tiny.hpp"

using espalier::ChoiceTask;
using espalier::ModelSpec;
using espalier::open_tokenizer;
using espalier::Scratch;
using espalier::TaskBatch;
using espalier::Tokenizer;

namespace {

using Tokens = std::vector<std::int64_t>;

ModelSpec spec_of(std::int64_t positions, std::int64_t vocab = 257) {
  ModelSpec spec = espalier::testing::tiny_model().spec();
  spec.max_positions = positions, spec.vocab = vocab;
  return spec;
}

Tokens list_of(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous();
  return {flat.const_data_ptr<std::int64_t>(), flat.const_data_ptr<std::int64_t>() + flat.numel()};
}

Tokens bytes_of(const std::string& text) { return {text.begin(), text.end()}; }  // ASCII

// What a choice is scored on: its row's tokens, and the labels at the row's last positions.
struct Scored {
  Tokens input, labels;
};
std::vector<Scored> scored(const ChoiceTask& task) {
  std::vector<Scored> all(task.choices());
  std::vector<Tokens> positions(task.choices());
  for (const auto& [first, count] : task.batches(1)) {
    REQUIRE(count == 1);
    const TaskBatch batch = task.batch(first, 1);
    const Tokens labels = list_of(batch.labels), places = list_of(batch.positions);
    for (std::size_t i = 0; i < labels.size(); ++i) {
      all[batch.choices[i]].input = list_of(batch.tokens);
      all[batch.choices[i]].labels.push_back(labels[i]);
      positions[batch.choices[i]].push_back(places[i]);
    }
  }
  for (std::size_t choice = 0; choice < all.size(); ++choice) {
    const std::size_t length = all[choice].input.size(), labels = all[choice].labels.size();
    for (std::size_t i = 0; i < labels; ++i)
      CHECK(positions[choice][i] == static_cast<std::int64_t>(length - labels + i));
  }
  return all;
}

std::string decoded(const Tokens& tokens) { return {tokens.begin(), tokens.end()}; }

espalier::fs::path write_items(const Scratch& scratch, const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  espalier::write_text(scratch / "t.jsonl", text);
  return scratch / "t.jsonl";
}

// Item i: "Q<i>:" with the choices "yes<i>" and "no<i>", yes being right for even i.
espalier::fs::path write_questions(const Scratch& scratch, int count) {
  std::vector<std::string> lines;
  for (int i = 0; i < count; ++i) {
    lines.push_back(
        fmt::format(R"({{"prompt": "Q{}:", "choices": [" yes{}", " no{}"], "answer": {}}})", i, i, i, i % 2));
  }
  return write_items(scratch, lines);
}

}  // namespace

TEST_CASE("bytes: the prompt is given, the completion is scored, and its last token is never read") {
  const Scratch scratch;
  const espalier::fs::path file =
      write_items(scratch, {R"({"prompt": "ab", "choices": ["cde", "f"], "answer": 0})",
                            R"({"prompts": ["x", "yz"], "completion": "ww", "answer": 0})"});
  const ChoiceTask task({"t", file, 0, 1}, open_tokenizer("bytes"), spec_of(64));
  CHECK(task.items() == 2);
  const std::vector<Scored> choices = scored(task);
  REQUIRE(choices.size() == 4);
  CHECK(choices[0].input == bytes_of("abcd"));
  CHECK(choices[0].labels == bytes_of("cde"));
  CHECK(choices[1].input == bytes_of("ab"));
  CHECK(choices[1].labels == bytes_of("f"));
  CHECK(choices[2].input == bytes_of("xw"));
  CHECK(choices[3].input == bytes_of("yzw"));
  CHECK(choices[3].labels == bytes_of("ww"));
}

TEST_CASE("white space that ends a prompt is scored, and an empty prompt is the end of a document") {
  const Scratch scratch;
  const espalier::fs::path file = write_items(scratch, {R"({"prompt": "ab \n", "choices": ["c", "d"], "answer": 0})",
                                                        R"({"prompts": ["", " "], "completion": "e", "answer": 0})"});
  const std::vector<Scored> choices = scored(ChoiceTask({"t", file, 0, 1}, open_tokenizer("bytes"), spec_of(64)));
  CHECK(choices[0].input == bytes_of("ab \n"));
  CHECK(choices[0].labels == bytes_of(" \nc"));
  CHECK(choices[2].input == Tokens{256});
  CHECK(choices[2].labels == bytes_of("e"));
  CHECK(choices[3].input == Tokens{256, ' '});
  CHECK(choices[3].labels == bytes_of(" e"));
}

TEST_CASE("a tokenizer that merges over the boundary: as many tokens are given as the prompt has alone") {
  const Scratch scratch;
  espalier::testing::write_tiny_tokenizer(scratch.folder());
  const Tokenizer tokenizer = open_tokenizer(scratch.folder().string());
  // a 0, b 1, c 2, space 3, ab 4, end of document 8
  const espalier::fs::path file = write_items(scratch, {R"({"prompt": "c a", "choices": ["bc", "cab"], "answer": 0})",
                                                        R"({"prompts": ["c ", ""], "completion": "ab", "answer": 0})"});
  const std::vector<Scored> choices = scored(ChoiceTask({"t", file, 0, 1}, tokenizer, spec_of(64, 9)));
  CHECK(choices[0].input == Tokens{2, 3, 0});  // "c abc" is c, space, ab, c: past three tokens there is c
  CHECK(choices[0].labels == Tokens{2});
  CHECK(choices[1].input == Tokens{2, 3, 0, 2});
  CHECK(choices[1].labels == Tokens{2, 4});
  CHECK(choices[2].input == Tokens{2, 3});
  CHECK(choices[2].labels == Tokens{3, 4});
  CHECK(choices[3].input == Tokens{8});
  CHECK(choices[3].labels == Tokens{4});
  const espalier::fs::path merged = write_items(scratch, {R"({"prompt": "a", "choices": ["b", "c"], "answer": 0})"});
  CHECK_THROWS_WITH(
      ChoiceTask({"t", merged, 0, 1}, tokenizer, spec_of(64, 9)),
      fmt::format("{}:1: a completion has no token of its own; got 1 token of {} with its prompt, which alone has 1",
                  merged.string(), tokenizer.name)
          .c_str());
}

TEST_CASE("shots are other items with their right choice, drawn by the seed, the same every time") {
  const Scratch scratch;
  const espalier::fs::path file = write_questions(scratch, 6);
  const auto texts = [&](std::int64_t shots, std::uint64_t seed) {
    const std::vector<Scored> choices =
        scored(ChoiceTask({"t", file, shots, seed}, open_tokenizer("bytes"), spec_of(512)));
    std::vector<std::string> list;
    for (const Scored& choice : choices) list.push_back(decoded(choice.input));
    return list;
  };
  const std::vector<std::string> once = texts(2, 7);
  CHECK(once == texts(2, 7));
  CHECK(once != texts(2, 8));
  std::set<std::string> drawn;
  for (std::size_t choice = 0; choice < once.size(); ++choice) {
    const std::size_t item = choice / 2;
    // Two blocks, each of an item that is not this one, then the item itself.
    const std::size_t first = once[choice].find("\n\n"), second = once[choice].find("\n\n", first + 2);
    REQUIRE(second != std::string::npos);
    const std::string one = once[choice].substr(0, first), two = once[choice].substr(first + 2, second - first - 2);
    for (const std::string& shot : {one, two}) {
      const int of = shot[1] - '0';
      CHECK(shot == fmt::format("Q{}: {}{}", of, of % 2 == 0 ? "yes" : "no", of));
      CHECK(static_cast<std::size_t>(of) != item);
    }
    CHECK(one != two);
    CHECK(once[choice].substr(second + 2).starts_with(fmt::format("Q{}: ", item)));
    drawn.insert(one), drawn.insert(two);
  }
  CHECK(drawn.size() > 3);                       // not the same ones for every item
  for (const std::string& text : texts(5, 7)) {  // all others, each once
    for (char of = '0'; of < '6'; ++of) {
      const std::size_t found = text.find(std::string("Q") + of + ":");
      CHECK(found != std::string::npos);
      CHECK(text.find(std::string("Q") + of + ":", found + 1) == std::string::npos);
    }
  }
  CHECK_THROWS_WITH(
      ChoiceTask({"t", file, 6, 7}, open_tokenizer("bytes"), spec_of(512)),
      (file.string() + ": too few items for the shots; got 6 shots for 6 items; expected 0 to 5").c_str());
}

TEST_CASE("a row longer than the model's positions loses tokens from the left") {
  const Scratch scratch;
  const espalier::fs::path file =
      write_items(scratch, {R"({"prompt": "abcdefgh", "choices": ["xyz", "w"], "answer": 0})"});
  const ChoiceTask task({"t", file, 0, 1}, open_tokenizer("bytes"), spec_of(8));
  CHECK(task.truncated() == 1);
  const std::vector<Scored> choices = scored(task);
  CHECK(choices[0].input == bytes_of("cdefghxy"));
  CHECK(choices[0].labels == bytes_of("xyz"));
  CHECK(choices[1].input == bytes_of("abcdefgh"));
  CHECK_THROWS_WITH(
      ChoiceTask({"t", file, 0, 1}, open_tokenizer("bytes"), spec_of(2)),
      (file.string() + ":1: a completion is longer than the model's positions; got 3 tokens; expected at most 2")
          .c_str());
  CHECK_THROWS_WITH(
      ChoiceTask({"t", file, 0, 1}, open_tokenizer("bytes"), spec_of(64, 100)),
      (file.string() + ":1: token beyond the model's vocabulary; got 121 from tokenizer bytes; expected less than 100")
          .c_str());
}

TEST_CASE("choices of one token share a row") {
  const Scratch scratch;
  const espalier::fs::path file =
      write_items(scratch, {R"({"prompt": "Answer:", "choices": ["A", "B", "C", "D"], "answer": 3})",
                            R"({"prompt": "Answer:", "choices": ["A", "BB"], "answer": 0})"});
  const ChoiceTask task({"t", file, 0, 1}, open_tokenizer("bytes"), spec_of(64));
  std::size_t rows = 0;
  for (const auto& [first, count] : task.batches(4096)) rows += count;
  CHECK(rows == 3);
  const std::vector<Scored> choices = scored(task);
  CHECK(choices[2].input == bytes_of("Answer:"));
  CHECK(choices[2].labels == bytes_of("C"));
  CHECK(choices[5].input == bytes_of("Answer:B"));
}

TEST_CASE("batches hold every row once, the longest first, filled up on the right") {
  const Scratch scratch;
  const ChoiceTask task({"t", write_questions(scratch, 12), 3, 5}, open_tokenizer("bytes"), spec_of(512));
  std::size_t next = 0;
  std::int64_t length = 1 << 20;
  std::size_t scored_tokens = 0;
  for (const auto& [first, count] : task.batches(100)) {
    CHECK(first == next);
    next += count;
    const TaskBatch batch = task.batch(first, count);
    CHECK(batch.tokens.size(0) == static_cast<std::int64_t>(count));
    CHECK(batch.tokens.size(1) == task.row_length(first));
    CHECK((count == 1 || batch.tokens.numel() <= 100));
    for (std::size_t row = first; row < first + count; ++row) {
      CHECK(task.row_length(row) <= length);
      length = task.row_length(row);
      const at::Tensor rest =
          batch.tokens[static_cast<std::int64_t>(row - first)].narrow(0, length, batch.tokens.size(1) - length);
      CHECK(rest.eq(0).all().item<bool>());
    }
    scored_tokens += batch.choices.size();
  }
  CHECK(next == task.choices());
  CHECK(scored_tokens == 10 * (5 + 4) + 2 * (6 + 5));  // " yes0", " no0"; " yes10", " no10"
}

TEST_CASE("the right choice is the most probable one, ties go to the first; normalised, per byte of the completion") {
  const Scratch scratch;
  const espalier::fs::path file = write_items(scratch, {R"({"prompt": "p", "choices": ["a", "bbbb"], "answer": 1})",
                                                        R"({"prompt": "p", "choices": ["aa", "bb"], "answer": 0})",
                                                        R"({"prompt": "p", "choices": ["aa", "bb"], "answer": 1})"});
  const ChoiceTask task({"t", file, 0, 1}, open_tokenizer("bytes"), spec_of(64));
  // -2 > -4, but -2/1 < -4/4; then two ties.
  const std::vector<double> scores = {-2.0, -4.0, -3.0, -3.0, -3.0, -3.0};
  CHECK(task.right(scores, false) == 1);
  CHECK(task.right(scores, true) == 2);
  std::vector<double> bad = scores;
  bad[3] = std::nan("");
  CHECK_THROWS_WITH(
      task.right(bad, false),
      (file.string() + ":2: a choice's log-probability is not finite; got nan for choice 1; expected a number")
          .c_str());
}
