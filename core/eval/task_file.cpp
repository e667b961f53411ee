// SPDX-License-Identifier: Apache-2.0
#include "core/eval/task_file.hpp"

#include <array>
#include <charconv>
#include <optional>

#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/data/document_reader.hpp"
#include "core/data/documents.hpp"

namespace espalier {
namespace {

using Json = nlohmann::json;

constexpr const char* kForms =
    R"(expected "prompt" with "choices", "prompts" with "completion", "sentence" with "option1" and "option2", )"
    R"(or "ctx" with "endings")";

// The keys of one line, read with errors at its place.
class ItemReader {
 public:
  ItemReader(const Json& object, const std::string& place) : object_(object), place_(place) {}

  const Json& get(const char* key) const {
    const auto found = object_.find(key);
    if (found == object_.end()) fail("{}: \"{}\" is missing; {}", place_, key, kForms);
    return *found;
  }

  const std::string& text(const char* key) const {
    const Json& value = get(key);
    if (!value.is_string()) fail("{}: \"{}\" is not a string; got {}", place_, key, value.type_name());
    return value.get_ref<const std::string&>();
  }

  // What is scored has at least one byte.
  const std::string& scored(const char* key) const {
    const std::string& value = text(key);
    if (value.empty()) fail("{}: \"{}\" is empty; expected text to score", place_, key);
    return value;
  }

  std::vector<std::string> texts(const char* key, bool scored) const {
    const Json& value = get(key);
    if (!value.is_array()) fail("{}: \"{}\" is not a list of strings; got {}", place_, key, value.type_name());
    std::vector<std::string> list;
    for (const Json& entry : value) {
      const std::size_t index = list.size();
      if (!entry.is_string()) fail("{}: \"{}\"[{}] is not a string; got {}", place_, key, index, entry.type_name());
      list.push_back(entry.get<std::string>());
      if (scored && list.back().empty()) fail("{}: \"{}\"[{}] is empty; expected text to score", place_, key, index);
    }
    if (list.size() < 2) fail("{}: \"{}\" leaves no choice; got {}; expected at least 2", place_, key, list.size());
    return list;
  }

  // An index that counts from `first`. Exported data sets write it as a string, too.
  std::size_t index(const char* key, std::size_t count, std::int64_t first, bool string_too) const {
    const Json& value = get(key);
    const std::string expected = fmt::format("{} to {}", first, first + static_cast<std::int64_t>(count) - 1);
    std::optional<std::int64_t> number;
    if (value.is_number_integer()) number = value.get<std::int64_t>();
    if (string_too && value.is_string()) number = whole(value.get_ref<const std::string&>());
    if (!number)
      fail("{}: \"{}\" is not the number of a choice; got {}; expected {}", place_, key, value.dump(), expected);
    if (*number < first || *number >= first + static_cast<std::int64_t>(count))
      fail("{}: \"{}\" is out of range; got {}; expected {}", place_, key, *number, expected);
    return static_cast<std::size_t>(*number - first);
  }

  const std::string& place() const { return place_; }

 private:
  static std::optional<std::int64_t> whole(const std::string& text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
  }

  const Json& object_;
  const std::string& place_;
};

Choice choice_of(std::string prompt, const std::string& completion, const char* between) {
  return {std::move(prompt), between + completion, static_cast<std::int64_t>(completion.size())};
}

ChoiceItem completions_of_one_prompt(const ItemReader& line) {
  ChoiceItem item;
  const std::string& prompt = line.text("prompt");
  for (const std::string& completion : line.texts("choices", true))
    item.choices.push_back(choice_of(prompt, completion, ""));
  item.answer = line.index("answer", item.choices.size(), 0, false);
  return item;
}

ChoiceItem one_completion_of_prompts(const ItemReader& line) {
  ChoiceItem item;
  const std::string& completion = line.scored("completion");
  for (const std::string& prompt : line.texts("prompts", false))
    item.choices.push_back(choice_of(prompt, completion, ""));
  item.answer = line.index("answer", item.choices.size(), 0, false);
  return item;
}

// Partial evaluation (Trinh and Le, arXiv 1806.02847), as lm-evaluation-harness does it.
ChoiceItem winogrande(const ItemReader& line) {
  ChoiceItem item;
  const std::string& sentence = line.text("sentence");
  const std::size_t blank = sentence.find('_');
  if (blank == std::string::npos) fail("{}: \"sentence\" has no blank; expected a '_'", line.place());
  const std::size_t from = sentence.find_first_not_of(" \t", blank + 1);
  if (from == std::string::npos)
    fail("{}: \"sentence\" ends at its blank; expected text to score after '_'", line.place());
  const std::string after = sentence.substr(from, sentence.find_last_not_of(" \t") + 1 - from);
  for (const char* option : {"option1", "option2"})
    item.choices.push_back(choice_of(sentence.substr(0, blank) + line.text(option), after, " "));
  item.answer = line.index("answer", 2, 1, true);
  return item;
}

ChoiceItem hellaswag(const ItemReader& line) {
  ChoiceItem item;
  const std::string& context = line.text("ctx");
  for (const std::string& ending : line.texts("endings", true)) item.choices.push_back(choice_of(context, ending, " "));
  item.answer = line.index("label", item.choices.size(), 0, true);
  return item;
}

struct Form {
  const char* keys[2];  // either tells the form
  ChoiceItem (*read)(const ItemReader&);
};
constexpr std::array<Form, 4> kReaders = {{{{"choices", "prompt"}, completions_of_one_prompt},
                                           {{"prompts", "completion"}, one_completion_of_prompts},
                                           {{"sentence", "option1"}, winogrande},
                                           {{"endings", "ctx"}, hellaswag}}};

}  // namespace

ChoiceItem parse_choice_item(std::string_view line, const std::string& place) {
  const Json object = parse_json_object(line, place, kForms);
  for (const Form& form : kReaders) {
    if (!object.contains(form.keys[0]) && !object.contains(form.keys[1])) continue;
    ChoiceItem item = form.read(ItemReader(object, place));
    item.place = place;
    return item;
  }
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  fail("{}: not a choice task; got {}; {}", place, keys.empty() ? "no keys" : "the keys " + join(keys, ", "), kForms);
}

std::vector<ChoiceItem> read_choice_items(const fs::path& path) {
  const Source source = resolve({path.string(), std::nullopt, ""});
  if (source.is_tokens || source.files.size() != 1 || !source.files.front().lines)
    reject("{}: not a file of choice tasks; expected one .jsonl or .jsonl.gz file", path.string());
  DocumentReader reader(source.files, std::size_t{1} << 20, true);
  std::vector<ChoiceItem> items;
  for (RawBatch batch; reader.next(batch);) {
    for (const RawPiece& piece : batch.pieces) {
      if (is_blank(piece.text)) continue;
      items.push_back(parse_choice_item(piece.text, fmt::format("{}:{}", path.string(), piece.line)));
    }
  }
  if (items.empty()) fail("{}: no items; expected a choice task a line", path.string());
  return items;
}

}  // namespace espalier
