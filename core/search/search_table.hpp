// SPDX-License-Identifier: Apache-2.0
// The one table of a search: what `espalier plan` shows before it, what search.json holds after it.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/search/candidates.hpp"
#include "core/search/halving.hpp"

namespace espalier {

// Counts and legality of every candidate; with standings (one each, or none) the losses and what became of it. Sorted
// by rank where there is one, else as `all` is.
nlohmann::json search_to_json(const Candidates& all, const std::vector<Standing>& standings, const HalvingPlan& plan);

// The standings of a table, in the order of `all`; candidates that it does not know have none.
std::vector<Standing> standings_from_json(const nlohmann::json& table, const Candidates& all);

// The sizes that the winner of a finished search.json keeps, for `axes` in their order. Error naming `source`.
std::vector<std::int64_t> winner_of(const nlohmann::json& table, const std::vector<std::string>& axes,
                                    const std::string& source);

// The same for people. `speeds`: measured tokens/s by candidate, may be empty.
std::string search_to_text(const Candidates& all, const std::vector<Standing>& standings, const HalvingPlan& plan,
                           const std::map<std::string, double>& speeds);

}  // namespace espalier
