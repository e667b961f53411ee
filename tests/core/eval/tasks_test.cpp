// SPDX-License-Identifier: Apache-2.0
// Accuracy against full logits, one unpadded row after the other.
#include "core/eval/tasks.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "core/base/digest.hpp"
#include "core/base/random.hpp"
#include "tests/core/eval/tiny.hpp"

using doctest::Approx;
using espalier::ChoiceItem;
using espalier::ChoiceTask;
using espalier::log_probabilities;
using espalier::Model;
using espalier::open_tokenizer;
using espalier::Scratch;
using espalier::TaskBatch;
using espalier::TaskResult;
using espalier::testing::Streamed;
using espalier::testing::tiny_model;

namespace {

// Items with words of random letters, two to four choices of other lengths each.
espalier::fs::path write_random_items(const Scratch& scratch, std::uint64_t count) {
  const auto word = [](std::uint64_t seed, std::uint64_t length) {
    std::string text;
    for (std::uint64_t i = 0; i < length; ++i) text += static_cast<char>('a' + espalier::mix(seed, i) % 26);
    return text;
  };
  std::string text;
  for (std::uint64_t i = 0; i < count; ++i) {
    nlohmann::json item = {{"prompt", word(3 * i, 1 + i % 17)}, {"choices", nlohmann::json::array()}};
    const std::uint64_t choices = 2 + i % 3;
    for (std::uint64_t c = 0; c < choices; ++c)
      item["choices"].push_back(" " + word(100 * i + c + 7, 1 + (i + 3 * c) % 5));
    item["answer"] = espalier::mix(9, i) % choices;
    text += item.dump() + "\n";
  }
  espalier::write_text(scratch / "random.jsonl", text);
  return scratch / "random.jsonl";
}

// log p of the completion's bytes after the prompt's, from all logits in float64.
double slow_score(Model& model, const std::string& prompt, const std::string& completion) {
  const std::string whole = prompt + completion;
  std::vector<std::int64_t> tokens(whole.begin(), whole.end());
  const at::Tensor row = at::tensor(tokens, at::kLong).unsqueeze(0);
  const at::Tensor log_p = at::log_softmax(logits(model.outer(), hidden_states(model, row)).to(at::kDouble), -1)[0];
  double sum = 0.0;
  for (std::size_t t = prompt.size(); t < whole.size(); ++t)
    sum += log_p[static_cast<std::int64_t>(t) - 1][tokens[t]].item<double>();
  return sum;
}

}  // namespace

TEST_CASE("log-probabilities are those of full logits without padding, resident and streamed, in one tile or many") {
  const at::NoGradGuard no_grad;
  const Scratch scratch;
  Model model = tiny_model();
  const espalier::fs::path file = write_random_items(scratch, 40);
  const ChoiceTask task({"random", file, 0, 3}, open_tokenizer("bytes"), model.spec());
  std::vector<double> expected;
  std::int64_t right = 0, right_normalised = 0;
  for (const ChoiceItem& item : espalier::read_choice_items(file)) {
    std::vector<double> scores, per_byte;
    for (const espalier::Choice& choice : item.choices) {
      scores.push_back(slow_score(model, choice.prompt, choice.completion));
      per_byte.push_back(scores.back() / static_cast<double>(choice.completion.size()));
    }
    const auto best = [](const std::vector<double>& list) {
      return static_cast<std::size_t>(std::max_element(list.begin(), list.end()) - list.begin());
    };
    right += best(scores) == item.answer, right_normalised += best(per_byte) == item.answer;
    expected.insert(expected.end(), scores.begin(), scores.end());
  }
  Streamed streamed(model);
  // float32 logits of a few units, summed in float64: 1e-5 of each sum covers the rounding of batched products.
  const auto agree = [&](const std::vector<double>& got) {
    REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == Approx(expected[i]).epsilon(1e-5));
  };
  agree(log_probabilities(model, task));
  agree(log_probabilities(streamed, task));
  CHECK(streamed.fetched == 3);  // one walk for all batches
  agree(log_probabilities(streamed, task, 1));

  const TaskResult result = evaluate_task(model, task);
  CHECK(result.items == 40);
  CHECK(result.right == right);
  CHECK(result.right_normalised == right_normalised);
  CHECK(right != right_normalised);  // else the second number is not tested
}

TEST_CASE("what a row is filled up with does not change its score") {
  const at::NoGradGuard no_grad;
  const Scratch scratch;
  Model model = tiny_model();
  espalier::ModelSpec windowed = model.spec();
  for (espalier::LayerSpec& layer : windowed.layers) layer.sliding_window = 4;
  Model narrow(windowed, 5, model.compute());
  const ChoiceTask task({"random", write_random_items(scratch, 20), 2, 3}, open_tokenizer("bytes"), model.spec());
  for (Model* one : {&model, &narrow}) {
    const espalier::Weights outer = one->outer();
    const auto scores = [&](std::int64_t batch_tokens, std::int64_t filler) {
      std::vector<double> sums(task.choices());
      for (const auto& [first, count] : task.batches(batch_tokens)) {
        TaskBatch batch = task.batch(first, count);
        for (std::size_t r = 0; r < count; ++r) {
          const std::int64_t used = task.row_length(first + r);
          batch.tokens[static_cast<std::int64_t>(r)].narrow(0, used, batch.tokens.size(1) - used).fill_(filler);
        }
        add_log_probabilities(outer, hidden_states(*one, batch.tokens), batch, sums);
      }
      return sums;
    };
    const std::vector<double> alone = scores(1, 0), together = scores(4096, 0), other = scores(4096, 200);
    CHECK(together == other);  // to the last bit: the filler cannot reach a row
    for (std::size_t i = 0; i < alone.size(); ++i) CHECK(alone[i] == Approx(together[i]).epsilon(1e-5));
  }
}

TEST_CASE("the standard error is that of a binomial share, and unknown for one item") {
  const TaskResult result{4, 3, 2};
  CHECK(result.accuracy() == 0.75);
  CHECK(result.accuracy_norm() == 0.5);
  CHECK(*result.stderr_of(0.75) == Approx(0.25));                // sqrt(0.75 · 0.25 / 3)
  CHECK(*result.stderr_of(0.5) == Approx(0.28867513459481287));  // sqrt(0.25 / 3)
  CHECK_FALSE(TaskResult{1, 1, 1}.stderr_of(1.0));
}

TEST_CASE("a task in eval.json: numbers, and the protocol that they were taken by") {
  const Scratch scratch;
  Model model = tiny_model();
  const espalier::fs::path file = write_random_items(scratch, 10);
  const espalier::Tokenizer tokenizer = open_tokenizer("bytes");
  const ChoiceTask task({"random", file, 8, 3}, tokenizer, model.spec());
  const TaskResult result = evaluate_task(model, task);
  const nlohmann::json json = task_to_json(result, task, tokenizer, model.spec());
  CHECK(json.at("accuracy").get<double>() == result.accuracy());
  CHECK(json.at("accuracy_stderr").get<double>() == *result.stderr_of(result.accuracy()));
  CHECK(json.at("accuracy_norm").get<double>() == result.accuracy_norm());
  CHECK(json.at("accuracy_norm_stderr").get<double>() == *result.stderr_of(result.accuracy_norm()));
  CHECK(json.at("items") == 10);
  CHECK(json.at("shots") == 8);
  const nlohmann::json& protocol = json.at("protocol");
  CHECK(protocol.at("file_digest") == espalier::digest_of_file(file));
  CHECK(protocol.at("tokenizer") == "bytes");
  CHECK(protocol.at("tokenizer_digest") == tokenizer.digest);
  CHECK(protocol.at("truncated") == "from the left, to 64 positions");
  CHECK(protocol.at("truncated_choices") == task.truncated());
  CHECK(task.truncated() > 0);
  CHECK(protocol.at("shots") ==
        "drawn for each item by seed 3 from the other items of the file, a blank line behind each");
  CHECK_FALSE(json.dump().find(scratch.folder().string()) != std::string::npos);
}
