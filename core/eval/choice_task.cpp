// SPDX-License-Identifier: Apache-2.0
#include "core/eval/choice_task.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/random.hpp"

namespace espalier {
namespace {

// What an item looks like as a shot.
std::string solved(const ChoiceItem& item) {
  const Choice& right = item.choices[item.answer];
  return right.prompt + right.completion;
}

// The solved examples in front of item `index`.
std::string shots_of(const std::vector<ChoiceItem>& items, std::size_t index, const TaskSource& source) {
  std::string text;
  if (source.shots == 0) return text;
  const Permutation order(items.size() - 1, mix(mix(source.seed, 0x73686F7473ULL), index));  // "shots"
  for (std::int64_t shot = 0; shot < source.shots; ++shot) {
    const std::size_t drawn = order(static_cast<std::uint64_t>(shot));
    text += solved(items[drawn < index ? drawn : drawn + 1]) + "\n\n";
  }
  return text;
}

void move_trailing_space(std::string& prompt, std::string& completion) {
  const std::size_t end = prompt.find_last_not_of(" \t\n\v\f\r") + 1;  // npos + 1 = 0
  completion.insert(0, prompt, end);
  prompt.resize(end);
}

}  // namespace

// Turns items into rows, some at a time, so that the tokenizer sees many texts in one request.
class ChoiceTask::Builder {
 public:
  Builder(ChoiceTask& task, const Tokenizer& tokenizer, const ModelSpec& spec)
      : task_(task), tokenizer_(tokenizer), spec_(spec), encoder_(make_encoder(tokenizer)) {}

  void add(const std::vector<ChoiceItem>& items, std::size_t index) {
    const std::string shots = shots_of(items, index, task_.source_);
    for (const Choice& choice : items[index].choices) {
      Pending pending;
      std::string prompt = shots + choice.prompt, completion = choice.completion;
      move_trailing_space(prompt, completion);
      pending.item = index;
      pending.place = items[index].place;
      pending.choice = task_.bytes_.size();
      pending.whole = prompt + completion;
      pending.prompt = std::move(prompt);
      waiting_bytes_ += 2 * pending.whole.size();
      task_.bytes_.push_back(choice.bytes);
      waiting_.push_back(std::move(pending));
    }
    if (waiting_bytes_ >= kRequestBytes) encode();
  }

  void encode() {
    throw_if_interrupted();
    std::vector<TextInput> texts;
    for (const Pending& pending : waiting_) {
      texts.push_back({.text = pending.prompt, .place = pending.place});
      texts.push_back({.text = pending.whole, .place = pending.place});
    }
    const std::vector<EncodedText> encoded = encoder_->encode(texts);
    for (std::size_t i = 0; i < waiting_.size(); ++i)
      take(waiting_[i], encoded[2 * i].tokens, encoded[2 * i + 1].tokens);
    waiting_.clear();
    waiting_bytes_ = 0;
  }

 private:
  static constexpr std::size_t kRequestBytes = std::size_t{1} << 20;

  struct Pending {
    std::size_t item = 0, choice = 0;
    std::string place, prompt, whole;
  };

  void take(const Pending& pending, std::vector<std::int32_t> prompt, const std::vector<std::int32_t>& whole) {
    if (whole.size() <= prompt.size()) {
      fail("{}: a completion has no token of its own; got {} of {} with its prompt, which alone has {}", pending.place,
           whole.size() == 1 ? "1 token" : fmt::format("{} tokens", whole.size()), tokenizer_.name, prompt.size());
    }
    std::vector<std::int32_t> labels(whole.begin() + static_cast<std::ptrdiff_t>(prompt.size()), whole.end());
    if (prompt.empty()) prompt.push_back(static_cast<std::int32_t>(tokenizer_.eod));
    std::vector<std::int32_t> input = std::move(prompt);
    input.insert(input.end(), labels.begin(), labels.end() - 1);
    check_vocabulary(pending, input);
    check_vocabulary(pending, labels);
    fit(pending, input, labels.size());
    place(pending, std::move(input), {pending.choice, std::move(labels)});
  }

  void check_vocabulary(const Pending& pending, const std::vector<std::int32_t>& tokens) const {
    const std::int32_t largest = *std::max_element(tokens.begin(), tokens.end());
    if (largest < spec_.vocab) return;
    fail("{}: token beyond the model's vocabulary; got {} from tokenizer {}; expected less than {}", pending.place,
         largest, tokenizer_.name, spec_.vocab);
  }

  void fit(const Pending& pending, std::vector<std::int32_t>& input, std::size_t scored) {
    const auto positions = static_cast<std::size_t>(spec_.max_positions);
    if (spec_.max_positions < 1 || input.size() <= positions) return;
    if (scored > positions) {
      fail("{}: a completion is longer than the model's positions; got {} tokens; expected at most {}", pending.place,
           scored, positions);
    }
    input.erase(input.begin(), input.end() - static_cast<std::ptrdiff_t>(positions));
    ++task_.truncated_;
  }

  void place(const Pending& pending, std::vector<std::int32_t> input, Asked asked) {
    if (pending.item != item_) item_ = pending.item, item_rows_ = task_.rows_.size();
    for (std::size_t row = item_rows_; row < task_.rows_.size(); ++row) {
      if (task_.rows_[row].input != input) continue;
      task_.rows_[row].asked.push_back(std::move(asked));
      return;
    }
    task_.rows_.push_back({std::move(input), {}});
    task_.rows_.back().asked.push_back(std::move(asked));
  }

  ChoiceTask& task_;
  const Tokenizer& tokenizer_;
  const ModelSpec& spec_;
  std::unique_ptr<Encoder> encoder_;
  std::vector<Pending> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::size_t item_ = 0, item_rows_ = 0;  // the item whose rows come last, and its first row
};

std::vector<ChoiceItem> read_items(const TaskSource& source) {
  std::vector<ChoiceItem> items = read_choice_items(source.file);
  if (source.shots < 0 || source.shots >= static_cast<std::int64_t>(items.size())) {
    fail("{}: too few items for the shots; got {} shots for {} items; expected 0 to {}", source.file.string(),
         source.shots, items.size(), items.size() - 1);
  }
  return items;
}

ChoiceTask::ChoiceTask(const TaskSource& source, const Tokenizer& tokenizer, const ModelSpec& spec) : source_(source) {
  const std::vector<ChoiceItem> items = read_items(source);
  Builder builder(*this, tokenizer, spec);
  for (std::size_t i = 0; i < items.size(); ++i) {
    items_.push_back({bytes_.size(), items[i].choices.size(), items[i].answer, items[i].place});
    builder.add(items, i);
  }
  builder.encode();
  // The longest first: what does not fit into memory fails at once, and rows of a batch are about equally long.
  std::stable_sort(rows_.begin(), rows_.end(),
                   [](const Row& a, const Row& b) { return a.input.size() > b.input.size(); });
}

TaskBatches ChoiceTask::batches(std::int64_t tokens) const {
  TaskBatches list;
  for (std::size_t first = 0; first < rows_.size();) {
    const auto wanted = static_cast<std::size_t>(std::clamp<std::int64_t>(tokens / row_length(first), 1, 256));
    const std::size_t count = std::min(wanted, rows_.size() - first);
    list.emplace_back(first, count);
    first += count;
  }
  return list;
}

TaskBatch ChoiceTask::batch(std::size_t first, std::size_t count) const {
  const std::int64_t longest = row_length(first);
  TaskBatch batch;
  batch.tokens = at::zeros({static_cast<std::int64_t>(count), longest}, at::kLong);
  std::vector<std::int64_t> positions, labels;
  for (std::size_t r = 0; r < count; ++r) {
    const Row& row = rows_[first + r];
    const std::int64_t start = static_cast<std::int64_t>(r) * longest;
    std::copy(row.input.begin(), row.input.end(), batch.tokens.mutable_data_ptr<std::int64_t>() + start);
    for (const Asked& asked : row.asked) {
      const auto scored = static_cast<std::int64_t>(asked.labels.size());
      for (std::int64_t i = 0; i < scored; ++i) {
        positions.push_back(start + row_length(first + r) - scored + i);
        labels.push_back(asked.labels[static_cast<std::size_t>(i)]);
        batch.choices.push_back(asked.choice);
      }
    }
  }
  const auto tensor_of = [](const std::vector<std::int64_t>& list) {
    at::Tensor tensor = at::empty({static_cast<std::int64_t>(list.size())}, at::kLong);
    std::copy(list.begin(), list.end(), tensor.mutable_data_ptr<std::int64_t>());
    return tensor;
  };
  batch.positions = tensor_of(positions);
  batch.labels = tensor_of(labels);
  return batch;
}

std::int64_t ChoiceTask::right(const std::vector<double>& log_probabilities, bool normalised) const {
  std::int64_t right = 0;
  for (const Item& item : items_) {
    std::size_t best = 0;
    double best_score = 0.0;
    for (std::size_t i = 0; i < item.count; ++i) {
      const std::size_t choice = item.first + i;
      double score = log_probabilities[choice];
      if (!std::isfinite(score)) {
        fail("{}: a choice's log-probability is not finite; got {} for choice {}; expected a number", item.place, score,
             i);
      }
      if (normalised) score /= static_cast<double>(bytes_[choice]);
      if (i > 0 && !(score > best_score)) continue;
      best = i, best_score = score;
    }
    right += best == item.answer ? 1 : 0;
  }
  return right;
}

}  // namespace espalier
