// SPDX-License-Identifier: Apache-2.0
#include "core/search/search_table.hpp"

#include <algorithm>
#include <numeric>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"

namespace espalier {
namespace {

using nlohmann::json;

std::vector<std::size_t> by_rank(const Candidates& all, const std::vector<Standing>& standings) {
  std::vector<std::size_t> order(all.list.size());
  std::iota(order.begin(), order.end(), 0);
  if (standings.empty()) return order;
  const auto place = [&](std::size_t i) {
    return standings[i].rank > 0 ? standings[i].rank : std::int64_t{1} + std::ssize(order);
  };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return place(a) < place(b); });
  return order;
}

json legality_to_json(const Legality& legality) {
  json broken = json::array();
  for (const BrokenRule& rule : legality.broken) broken.push_back({{"who", rule.who}, {"what", rule.what}});
  return {{"multiple", legality.multiple}, {"tensor_parallel", legality.parallel}, {"broken", broken}};
}

json candidate_to_json(const Candidates& all, const Candidate& candidate) {
  const LayerSpec& layer = candidate.student.layers.front();
  json keep;
  for (std::size_t i = 0; i < all.axes.size(); ++i) keep[all.axes[i]] = candidate.keep[i];
  return {{"name", candidate.name},
          {"keep", keep},
          {"shape",
           {{"layers", candidate.student.layers.size()},
            {"hidden", candidate.student.hidden},
            {"heads", layer.heads()},
            {"kv_groups", layer.kv_groups},
            {"head_dim", layer.head_dim},
            {"ffn", layer.ffn}}},
          {"parameters", candidate.counts.parameters},
          {"non_embedding_parameters", candidate.counts.non_embedding_parameters},
          {"bytes", candidate.counts.bytes},
          {"memory", candidate.memory},
          {"kv_bytes_per_token", candidate.counts.kv_bytes_per_token},
          {"flops_per_token", candidate.counts.flops_per_token},
          {"legality", legality_to_json(candidate.legality)}};
}

// What the search has cost, and what training every candidate to the end would.
std::int64_t tokens_of(const std::vector<Standing>& standings) {
  return std::accumulate(standings.begin(), standings.end(), std::int64_t{0},
                         [](std::int64_t sum, const Standing& standing) { return sum + standing.tokens; });
}
std::int64_t tokens_of_all(const HalvingPlan& plan, std::size_t candidates) {
  return std::accumulate(plan.rounds.begin(), plan.rounds.end(), std::int64_t{0}) *
         static_cast<std::int64_t>(candidates);
}

using Row = std::vector<std::string>;

std::string columns(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += i == 0 ? fmt::format("{:<{}}", row[i], widths[i]) : fmt::format("  {:>{}}", row[i], widths[i]);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  }
  return text;
}

// Broken rules as numbers that the notes below the table explain.
class Notes {
 public:
  std::string numbers(const Legality& legality) {
    std::vector<std::string> parts;
    for (const BrokenRule& rule : legality.broken) {
      const std::string text = rule.who + ": " + rule.what;
      auto found = std::find(notes_.begin(), notes_.end(), text);
      if (found == notes_.end()) found = notes_.insert(notes_.end(), text);
      parts.push_back(std::to_string(found - notes_.begin() + 1));
    }
    return parts.empty() ? "-" : join(parts, ",");
  }
  std::string text() const {
    std::string text;
    for (std::size_t i = 0; i < notes_.size(); ++i) text += fmt::format("({}) {}\n", i + 1, notes_[i]);
    return text;
  }

 private:
  std::vector<std::string> notes_;
};

Row head(const HalvingPlan& plan, bool with_standings, bool with_speeds) {
  Row row = {"candidate",  "layers", "hidden",   "heads",       "kv",       "head_dim", "ffn",
             "parameters", "memory", "KV/token", "FLOPs/token", "multiple", "parallel", "notes"};
  if (!with_standings) return row;
  row.emplace_back("nll before");
  for (std::size_t round = 1; round <= plan.rounds.size(); ++round) row.push_back(fmt::format("round {}", round));
  row.insert(row.end(), {"tokens", "outcome", "rank"});
  if (with_speeds) row.emplace_back("tokens/s");
  return row;
}

Row shape_cells(const Candidate& candidate, Notes& notes) {
  const LayerSpec& layer = candidate.student.layers.front();
  const Legality& legality = candidate.legality;
  return {candidate.name,
          std::to_string(candidate.student.layers.size()),
          std::to_string(candidate.student.hidden),
          std::to_string(layer.heads()),
          std::to_string(layer.kv_groups),
          std::to_string(layer.head_dim),
          std::to_string(layer.ffn),
          with_commas(candidate.counts.parameters),
          human_bytes(static_cast<double>(candidate.memory)),
          human_bytes(static_cast<double>(candidate.counts.kv_bytes_per_token)),
          human_count(static_cast<double>(candidate.counts.flops_per_token)),
          std::to_string(legality.multiple),
          std::to_string(legality.parallel.back()),
          notes.numbers(legality)};
}

Row standing_cells(const Standing& standing, const HalvingPlan& plan) {
  Row row = {standing.zero_shot ? fmt::format("{:.4f}", *standing.zero_shot) : "-"};
  for (std::size_t round = 0; round < plan.rounds.size(); ++round)
    row.push_back(round < standing.nll.size() ? fmt::format("{:.4f}", standing.nll[round]) : "-");
  row.push_back(with_commas(standing.tokens));
  row.push_back(!standing.dropped       ? "kept"
                : *standing.dropped > 0 ? fmt::format("dropped in round {}", *standing.dropped)
                                        : "dropped before training");
  row.push_back(standing.rank > 0 ? std::to_string(standing.rank) : "-");
  return row;
}

std::string summary(const Candidates& all, const std::vector<Standing>& standings, const HalvingPlan& plan) {
  std::vector<std::string> budgets;
  for (const Bound& bound : all.bounds) budgets.push_back(describe(bound));
  std::string text = fmt::format("{} candidates of {} points{}{}\n", with_commas(std::ssize(all.list)),
                                 with_commas(all.points), budgets.empty() ? "" : ": ", join(budgets, ", and "));
  if (all.left_out > 0) text += fmt::format("{} sizes are left out: more than the teacher has\n", all.left_out);
  text += fmt::format("memory: weights and {} tokens of keys and values, {} bytes each; FLOPs at sequences of {}\n",
                      with_commas(all.memory_tokens), all.basis.bytes_per_element, with_commas(all.basis.seq_length));
  if (const std::int64_t every = tokens_of_all(plan, all.list.size()); !standings.empty() && every > 0) {
    const std::int64_t spent = tokens_of(standings);
    text += fmt::format("trained on {} tokens, {:.1f} % of the {} for every candidate to the end\n", with_commas(spent),
                        100.0 * static_cast<double>(spent) / static_cast<double>(every), with_commas(every));
  }
  return text;
}

}  // namespace

json search_to_json(const Candidates& all, const std::vector<Standing>& standings, const HalvingPlan& plan) {
  json table = {{"points", all.points}, {"axes", all.axes}, {"budget", json::array()}, {"candidates", json::array()}};
  for (const Bound& bound : all.bounds) table["budget"].push_back(describe(bound));
  for (const std::size_t i : by_rank(all, standings)) {
    json row = candidate_to_json(all, all.list[i]);
    if (!standings.empty()) {
      const Standing& standing = standings[i];
      row["zero_shot_nll"] = standing.zero_shot ? json(*standing.zero_shot) : json(nullptr);
      row["nll"] = standing.nll;
      row["tokens"] = standing.tokens;
      row["dropped_in_round"] = standing.dropped ? json(*standing.dropped) : json(nullptr);
      row["rank"] = standing.rank > 0 ? json(standing.rank) : json(nullptr);
      if (standing.rank == 1) table["winner"] = all.list[i].name;
    }
    table["candidates"].push_back(std::move(row));
  }
  if (standings.empty()) return table;
  table["rounds"] = plan.rounds;
  table["tokens"] = tokens_of(standings);
  table["tokens_of_all"] = tokens_of_all(plan, all.list.size());
  return table;
}

std::vector<Standing> standings_from_json(const json& table, const Candidates& all) {
  std::vector<Standing> standings(all.list.size());
  for (const json& row : table.at("candidates")) {
    const auto found = std::find_if(all.list.begin(), all.list.end(),
                                    [&](const Candidate& candidate) { return candidate.name == row.at("name"); });
    if (found == all.list.end()) continue;
    Standing& standing = standings[static_cast<std::size_t>(found - all.list.begin())];
    if (!row.at("zero_shot_nll").is_null()) standing.zero_shot = row["zero_shot_nll"].get<double>();
    standing.nll = row.at("nll").get<std::vector<double>>();
    standing.tokens = row.at("tokens").get<std::int64_t>();
  }
  return standings;  // who is dropped and the ranks follow from the losses
}

std::vector<std::int64_t> winner_of(const json& table, const std::vector<std::string>& axes,
                                    const std::string& source) {
  try {
    for (const json& row : table.at("candidates")) {
      if (row.at("name") != table.at("winner")) continue;
      std::vector<std::int64_t> keep;
      for (const std::string& axis : axes) keep.push_back(row.at("keep").at(axis).get<std::int64_t>());
      return keep;
    }
  } catch (const json::exception& error) {
    fail("{}: a value is missing or of a wrong type; got {}", source, error.what());
  }
  fail("{}: the winner is not one of the candidates", source);
}

std::string search_to_text(const Candidates& all, const std::vector<Standing>& standings, const HalvingPlan& plan,
                           const std::map<std::string, double>& speeds) {
  Notes notes;
  std::vector<Row> rows = {head(plan, !standings.empty(), !speeds.empty())};
  for (const std::size_t i : by_rank(all, standings)) {
    Row row = shape_cells(all.list[i], notes);
    if (!standings.empty()) {
      const Row more = standing_cells(standings[i], plan);
      row.insert(row.end(), more.begin(), more.end());
    }
    if (!speeds.empty()) {
      const auto speed = speeds.find(all.list[i].name);
      row.push_back(speed == speeds.end() ? "-" : with_commas(static_cast<std::int64_t>(speed->second)));
    }
    rows.push_back(std::move(row));
  }
  return columns(rows) + notes.text() + summary(all, standings, plan);
}

}  // namespace espalier
