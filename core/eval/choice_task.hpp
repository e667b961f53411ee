// SPDX-License-Identifier: Apache-2.0
// A choice task as rows of tokens, ready to be scored. Rules, all of which an evaluation states as its protocol:
// - Shots: for each item, `shots` others of the same file, drawn by the seed, each with its right choice; a blank line
//   behind each. No item is its own shot.
// - Boundary: white space that ends a prompt goes to the completion. The scored tokens are those of prompt + completion
//   after as many tokens as the prompt has alone (lm-evaluation-harness's rule).
// - No special token is added, but an empty prompt is the end-of-document token.
// - A row longer than the model's positions loses tokens from the left.
// Shapes: R rows of a batch, T tokens of its longest row, N scored tokens of all its rows.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/data/tokenizer.hpp"
#include "core/eval/task_file.hpp"
#include "espalier/sdk/spec.hpp"

namespace espalier {

struct TaskSource {
  std::string name;  // in reports
  fs::path file;
  std::int64_t shots = 0;
  std::uint64_t seed = 0;
};

// The items of a task's file. Throws Error: a line that is no item, too few items for the shots.
std::vector<ChoiceItem> read_items(const TaskSource& source);

struct TaskBatch {
  at::Tensor tokens;                 // (R, T) int64, filled up on the right
  at::Tensor positions;              // (N) int64, in R·T: whose prediction is scored
  at::Tensor labels;                 // (N) int64: the token that comes there
  std::vector<std::size_t> choices;  // N: the choice that it belongs to
};

using TaskBatches = std::vector<std::pair<std::size_t, std::size_t>>;  // of rows: the first, and how many

class ChoiceTask {
 public:
  // Throws Error as read_items does, and for a completion without a token of its own or longer than the model's
  // positions, or a token beyond the vocabulary.
  ChoiceTask(const TaskSource& source, const Tokenizer& tokenizer, const ModelSpec& spec);

  const TaskSource& source() const { return source_; }
  std::int64_t items() const { return static_cast<std::int64_t>(items_.size()); }
  std::size_t choices() const { return bytes_.size(); }  // of all items, in order
  std::int64_t truncated() const { return truncated_; }  // choices that lost tokens

  // All rows, from the longest to the shortest, in batches of about `tokens` tokens.
  TaskBatches batches(std::int64_t tokens) const;
  TaskBatch batch(std::size_t first, std::size_t count) const;
  std::int64_t row_length(std::size_t row) const { return static_cast<std::int64_t>(rows_[row].input.size()); }

  // How many items a model gets right, given each choice's log-probability: the most probable choice, ties to the
  // first; with `normalised` per byte of the completion. Throws Error when one is not finite.
  std::int64_t right(const std::vector<double>& log_probabilities, bool normalised) const;

 private:
  struct Item {
    std::size_t first, count, answer;  // its choices
    std::string place;
  };
  struct Asked {
    std::size_t choice;
    std::vector<std::int32_t> labels;  // predicted at the row's last positions
  };
  // Choices that differ in their last token only (as A, B, C, D do) share a row.
  struct Row {
    std::vector<std::int32_t> input;
    std::vector<Asked> asked;
  };
  class Builder;

  TaskSource source_;
  std::vector<Item> items_;
  std::vector<std::int64_t> bytes_;  // of each choice
  std::vector<Row> rows_;
  std::int64_t truncated_ = 0;
};

}  // namespace espalier
