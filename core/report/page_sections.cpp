// SPDX-License-Identifier: Apache-2.0
#include "core/report/page_sections.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/base/strings.hpp"
#include "core/report/page_html.hpp"

namespace espalier {

namespace {

using nlohmann::json;

std::string how_many(std::size_t count, const char* word) {
  return fmt::format("{} {}{}", count, word, count == 1 ? "" : "s");
}

std::string mean_and_sd(const json& measured, int digits) {
  const std::optional<double> mean = number_at(measured, {"mean"}), sd = number_at(measured, {"sd"});
  return sd ? fixed_text(mean, digits) + " ± " + fixed_text(sd, digits) : fixed_text(mean, digits);
}

std::string interval_text(const std::optional<double>& low, const std::optional<double>& high, int digits) {
  return low && high ? fixed_text(low, digits) + " to " + fixed_text(high, digits) : kNothing;
}

std::string rate_text(const std::optional<double>& tokens_per_s) {
  if (!tokens_per_s) return kNothing;
  return (*tokens_per_s < 100 ? fixed_text(tokens_per_s, 1) : whole_text(tokens_per_s)) + " tokens/s";
}

std::size_t seeds_of(const json& comparison) {
  std::set<std::string> seeds;
  for (const json& run : list_at(comparison, "runs")) seeds.insert(plain_text(at_path(run, {"seed"})));
  return seeds.size();
}

std::string match_sentence(const json& match) {
  const std::optional<double> tolerance = number_at(match, {"tolerance"});
  if (text_at(match, {"by"}).empty()) return "The arms are not matched in size.";
  std::string by = text_at(match, {"by"});
  std::replace(by.begin(), by.end(), '_', ' ');
  const std::string within = tolerance ? fmt::format(" within {:.3g} %", 100 * *tolerance) : "";
  return fmt::format("The arms are matched by {}{}.", by, within);
}

struct OutcomeLook {
  const char *css, *sign, *word, *relation;
};

OutcomeLook outcome_of(const json& verdict) {
  const std::string word = text_at(verdict, {"outcome"});
  if (word == "better") return {"better", "▲", "better", "better than"};
  if (word == "worse") return {"worse", "▼", "worse", "worse than"};
  return {"undecided", "≈", "undecided", "not told apart from"};
}

bool is_before(const json& verdict) { return text_at(verdict, {"moment"}) == "before"; }

std::string moment_words(const json& verdict) {
  return is_before(verdict) ? "before distillation" : "after distillation";
}

std::string sentence_of(const json& verdict) {
  const std::string text = text_at(verdict, {"text"});
  if (!text.empty()) return text;
  return fmt::format("{} is {} {}", text_at(verdict, {"a"}), outcome_of(verdict).relation, text_at(verdict, {"b"}));
}

// Up to two verdicts are told in full, of more how they went.
std::string verdict_sentences(const json& comparison) {
  std::vector<const json*> after;
  for (const json& verdict : list_at(comparison, "verdicts")) {
    if (!is_before(verdict)) after.push_back(&verdict);
  }
  if (after.empty()) return "There is no verdict on the loss after distillation.";
  std::string text;
  if (after.size() <= 2) {
    for (const json* verdict : after) text += (text.empty() ? "" : " ") + sentence_of(*verdict) + ".";
    return text;
  }
  const auto decided = std::count_if(after.begin(), after.end(), [](const json* verdict) {
    return std::string_view(outcome_of(*verdict).css) != "undecided";
  });
  const auto all = static_cast<std::ptrdiff_t>(after.size());
  const std::optional<double> level = number_at(comparison, {"level"});
  return fmt::format("Of {} after distillation {} {} decided{}{}", how_many(after.size(), "comparison"), decided,
                     decided == 1 ? "is" : "are", level ? fmt::format(" at {:.3g} % confidence", 100 * *level) : "",
                     decided == all ? "." : "; the rest could not be told apart with these runs.");
}

// What a verdict's own sentence says at its end.
std::string sizes_text(const json& verdict) {
  std::vector<std::string> sizes;
  for (const std::string what : {"teacher", "seed", "document"}) {
    const auto count = number_at(verdict, {(what + "s").c_str()});
    if (count) sizes.push_back(whole_text(count) + " " + what + (*count == 1 ? "" : "s"));
  }
  return join(sizes, " × ");
}

// What the sentence leaves out.
std::string facts_of(const json& verdict) {
  std::vector<std::string> facts = {moment_words(verdict)};
  if (const auto bits = number_at(verdict, {"difference_bits_per_byte"})) {
    const std::string range =
        interval_text(number_at(verdict, {"low_bits_per_byte"}), number_at(verdict, {"high_bits_per_byte"}), 4);
    facts.push_back(signed_text(bits, 4) + " bits per byte" + (range == kNothing ? "" : " (" + range + ")"));
  }
  if (text_at(verdict, {"text"}).empty()) facts.push_back(sizes_text(verdict));
  if (const std::string scope = text_at(verdict, {"scope"}); !scope.empty()) facts.push_back("speaks for " + scope);
  std::erase(facts, "");
  return join(facts, " · ");
}

std::string needed_of(const json& verdict) {
  std::vector<std::string> needed;
  for (const std::string what : {"teachers", "seeds", "documents"}) {
    if (const auto count = number_at(verdict, {(what + "_needed").c_str()}))
      needed.push_back("about " + whole_text(count) + " " + what);
  }
  return needed.empty() ? "" : "To decide a difference of this size: " + join(needed, " or ") + ".";
}

std::string card_html(const json& verdict, std::size_t number) {
  const OutcomeLook outcome = outcome_of(verdict);
  const std::string needed = needed_of(verdict);
  return fmt::format(
      "<li class=\"card {0}\" data-verdict=\"{1}\"><p class=\"head\"><span class=\"chip\"><span "
      "aria-hidden=\"true\">{2}"
      "</span> {3}</span> <b>{4}</b> <span class=\"against\">against</span> <b>{5}</b></p><div class=\"bar\"></div>"
      "<p class=\"say\">{6}</p><p class=\"facts\">{7}</p>{8}</li>\n",
      outcome.css, number, outcome.sign, outcome.word, escaped(text_at(verdict, {"a"})),
      escaped(text_at(verdict, {"b"})), escaped(sentence_of(verdict)), escaped(facts_of(verdict)),
      needed.empty() ? "" : "<p class=\"needed\">" + escaped(needed) + "</p>");
}

std::string verdict_table(const json& comparison) {
  HtmlTable table("Every comparison. A difference is a less b, in nats per token: below zero a is better", "a");
  for (const char* title : {"b", "moment", "outcome"}) table.column(title, true);
  for (const char* title : {"difference", "low", "high", "bits per byte", "seeds", "documents", "teachers"})
    table.column(title);
  table.column("scope", true);
  for (const char* title : {"seeds needed", "documents needed"}) table.column(title);
  for (const json& verdict : list_at(comparison, "verdicts")) {
    const auto number = [&](const char* key) { return number_at(verdict, {key}); };
    table.row({text_at(verdict, {"a"}), text_at(verdict, {"b"}), text_at(verdict, {"moment"}),
               text_at(verdict, {"outcome"}), signed_text(number("difference"), 4), signed_text(number("low"), 4),
               signed_text(number("high"), 4), signed_text(number("difference_bits_per_byte"), 4),
               whole_text(number("seeds")), whole_text(number("documents")), whole_text(number("teachers")),
               text_at(verdict, {"scope"}), whole_text(number("seeds_needed")),
               whole_text(number("documents_needed"))});
  }
  return table.html();
}

std::string in_details(const std::string& summary, const std::string& inside) {
  return fmt::format("<details><summary>{}</summary>{}</details>\n", escaped(summary), inside);
}

std::string arm_table(const json& comparison) {
  HtmlTable table(
      "The loss each arm reached (nll: nats per token; mean ± standard deviation over its runs), and what it costs",
      "arm");
  for (const char* title : {"runs", "nll after", "interval", "bits/byte after", "nll before", "bits/byte before",
                            "parameters", "non-embedding", "size", "KV cache / token", "FLOPs / token", "trained on",
                            "time", "first token", "prefill", "decode", "peak memory"})
    table.column(title);
  const std::string baseline = text_at(comparison, {"baseline"});
  for (const json& arm : list_at(comparison, "arms")) {
    const auto number = [&](const char* key) { return number_at(arm, {key}); };
    const auto speed = [&](const char* key) { return number_at(arm, {"speed", key}); };
    const auto loss = [&](const char* when, const char* key) { return mean_and_sd(at_path(arm, {when, key}), 4); };
    const std::string name = text_at(arm, {"name"});
    const auto tokens = number("tokens");
    table.row({name == baseline ? name + " (baseline)" : name, std::to_string(list_at(arm, "runs").size()),
               loss("after", "nll"),
               interval_text(number_at(arm, {"after", "nll", "low"}), number_at(arm, {"after", "nll", "high"}), 4),
               loss("after", "bits_per_byte"), loss("before", "nll"), loss("before", "bits_per_byte"),
               whole_text(number("parameters")), whole_text(number("non_embedding_parameters")),
               size_text(number("bytes")), size_text(number("kv_bytes_per_token")),
               count_text(number("flops_per_token")), tokens ? count_text(tokens) + " tokens" : kNothing,
               time_text(number("seconds")), fixed_text(speed("time_to_first_token_ms"), 1, " ms"),
               rate_text(speed("prefill_tokens_per_s")), rate_text(speed("decode_tokens_per_s")),
               size_text(speed("peak_bytes"))});
  }
  return table.html();
}

std::string teacher_table(const json& comparison) {
  HtmlTable table("Teachers", "teacher");
  for (const char* title :
       {"parameters", "non-embedding", "size", "nll", "bits/byte", "prefill", "decode", "peak memory"})
    table.column(title);
  for (const json& teacher : list_at(comparison, "teachers")) {
    const auto number = [&](const char* key) { return number_at(teacher, {key}); };
    table.row({text_at(teacher, {"name"}), whole_text(number("parameters")),
               whole_text(number("non_embedding_parameters")), size_text(number("bytes")), fixed_text(number("nll"), 4),
               fixed_text(number("bits_per_byte"), 4), rate_text(number_at(teacher, {"speed", "prefill_tokens_per_s"})),
               rate_text(number_at(teacher, {"speed", "decode_tokens_per_s"})),
               size_text(number_at(teacher, {"speed", "peak_bytes"}))});
  }
  return table.html();
}

// A column for each name that some arm has under one of the keys; `when` is added to the names of a key.
using NamedKeys = std::vector<std::pair<const char*, const char*>>;  // key, when

std::string named_table(const json& comparison, const NamedKeys& keys, const char* spread, const std::string& caption) {
  std::set<std::string> names;
  for (const json& arm : list_at(comparison, "arms")) {
    const json& entries = at_path(arm, {keys.front().first});
    if (!entries.is_object()) continue;
    for (const auto& [name, value] : entries.items()) names.insert(name);
  }
  HtmlTable table(caption, "arm");
  for (const std::string& name : names) {
    for (const auto& [key, when] : keys) table.column(name + when);
  }
  for (const json& arm : list_at(comparison, "arms")) {
    std::vector<std::string> cells = {text_at(arm, {"name"})};
    for (const std::string& name : names) {
      for (const auto& [key, when] : keys) {
        const auto error = number_at(arm, {key, name.c_str(), spread});
        const std::string mean = fixed_text(number_at(arm, {key, name.c_str(), "mean"}), 4);
        cells.push_back(mean + (error ? " ± " + fixed_text(error, 4) : ""));
      }
    }
    table.row(std::move(cells));
  }
  return names.empty() ? "" : table.html();
}

std::string definitions(const json& object) {
  std::string html = "<dl>";
  for (const auto& [key, value] : object.items()) {
    std::string name = key;
    std::replace(name.begin(), name.end(), '_', ' ');
    html += fmt::format("<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(plain_text(value)));
  }
  return html + "</dl>\n";
}

}  // namespace

std::string summary_html(const json& comparison) {
  const json& runs = list_at(comparison, "runs");
  const auto done = std::count_if(runs.begin(), runs.end(), [](const json& run) {
    return text_at(run, {"state"}).empty() || text_at(run, {"state"}) == "done";
  });
  std::string text = how_many(list_at(comparison, "arms").size(), "arm");
  if (const std::size_t seeds = seeds_of(comparison); seeds > 0) text += ", " + how_many(seeds, "seed");
  if (const std::size_t teachers = list_at(comparison, "teachers").size(); teachers > 0)
    text += ", " + how_many(teachers, "teacher");
  text += fmt::format("; {} of {} finished. ", done, how_many(runs.size(), "run"));
  text += match_sentence(at_path(comparison, {"match"})) + " " + verdict_sentences(comparison);
  return "<p class=\"lead\">" + escaped(text) + "</p>\n";
}

std::string verdicts_html(const json& comparison) {
  const json& verdicts = list_at(comparison, "verdicts");
  if (verdicts.empty()) return "<p class=\"none\">No verdicts: they need two arms with losses by document.</p>\n";
  std::string after, before;
  for (std::size_t i = 0; i < verdicts.size(); ++i)
    (is_before(verdicts[i]) ? before : after) += card_html(verdicts[i], i);
  std::string html =
      "<p class=\"key\">Bars: difference in loss, first less second, with its confidence interval, "
      "all on one axis in nats per token. <b>Left of zero the first is better.</b></p>\n";
  if (!after.empty()) html += "<ul class=\"cards\">" + after + "</ul>\n";
  if (!before.empty()) {
    html += fmt::format(
        "<details{}><summary>Before distillation: the cut alone</summary><ul class=\"cards\">{}</ul></details>\n",
        after.empty() ? " open" : "", before);
  }
  return html + in_details("Verdicts as a table", verdict_table(comparison));
}

std::string arms_html(const json& comparison) {
  if (list_at(comparison, "arms").empty()) return "<p class=\"none\">No arm has a finished run.</p>\n";
  const std::string sentence = text_at(comparison, {"sentence"});
  return (sentence.empty() ? "" : "<p class=\"key\">" + escaped(sentence) + "</p>\n") + arm_table(comparison) +
         teacher_table(comparison) +
         named_table(comparison, {{"sources", ""}}, "sd",
                     "Loss by source of text, after distillation (mean ± standard deviation)") +
         named_table(comparison, {{"tasks", ""}, {"tasks_before", ", before"}, {"tasks_teacher", ", teacher"}},
                     "stderr", "Choice tasks: accuracy (mean ± standard error)");
}

std::string differences_html(const json& comparison) {
  const json& differences = list_at(comparison, "differences");
  if (differences.empty()) return "<p class=\"none\">The arms' recipes do not differ, or are not known.</p>\n";
  HtmlTable table("What the resolved recipes differ in", "key");
  std::vector<std::string> names;
  for (const json& arm : list_at(comparison, "arms")) names.push_back(text_at(arm, {"name"}));
  if (names.empty()) {
    const json& values = at_path(differences[0], {"values"});
    for (const auto& [name, value] : values.items()) names.push_back(name);
  }
  for (const std::string& name : names) table.column(name, true);
  for (const json& difference : differences) {
    std::vector<std::string> cells = {text_at(difference, {"key"})};
    for (const std::string& name : names) cells.push_back(plain_text(at_path(difference, {"values", name.c_str()})));
    table.row(std::move(cells));
  }
  return "<div class=\"code\">" + table.html() + "</div>\n";
}

std::string runs_html(const json& comparison) {
  HtmlTable table("Runs", "run");
  for (const char* title : {"arm", "seed", "teacher", "state"}) table.column(title, true);
  for (const char* title : {"nll before", "nll after", "bits/byte before", "bits/byte after", "time"})
    table.column(title);
  for (const json& run : list_at(comparison, "runs")) {
    const auto number = [&](const char* key) { return number_at(run, {key}); };
    const std::string state = text_at(run, {"state"});
    table.row({text_at(run, {"name"}), text_at(run, {"arm"}), plain_text(at_path(run, {"seed"})),
               text_at(run, {"teacher"}), state, fixed_text(number("before_nll"), 4), fixed_text(number("nll"), 4),
               fixed_text(number("before_bits_per_byte"), 4), fixed_text(number("bits_per_byte"), 4),
               time_text(number("seconds"))},
              state == "failed" ? "failed" : "");
  }
  return table.empty() ? "<p class=\"none\">No runs.</p>\n" : table.html();
}

std::string failed_html(const json& comparison) {
  std::string html;
  for (const json& failed : list_at(comparison, "failed")) {
    html += fmt::format("<li><b>{}</b><pre>{}</pre></li>", escaped(text_at(failed, {"run"})),
                        escaped(text_at(failed, {"error"})));
  }
  return html.empty() ? "" : "<ul class=\"failures\">" + html + "</ul>\n";
}

std::string protocol_html(const json& comparison) {
  std::string html;
  for (const auto& [key, title] : {std::pair("protocol", "How losses were measured"), std::pair("environment", "Where"),
                                   std::pair("match", "How the arms were matched")}) {
    const json& object = at_path(comparison, {key});
    if (object.is_object() && !object.empty()) html += fmt::format("<h3>{}</h3>{}", title, definitions(object));
  }
  return html.empty() ? "<p class=\"none\">Not recorded.</p>\n" : html;
}

}  // namespace espalier
