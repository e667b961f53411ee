// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/recipe/search_block.hpp"
#include "core/recipe/table_reader.hpp"

namespace espalier {

// What `by` may be, and the long form of its short ones ("kv_bytes", "flops").
const std::vector<std::string>& budget_numbers();
std::string long_form(const std::string& by);

// The places and the rules between the fields of one entry of [search]: TableReader::blocks calls them.
void finish_block(TableReader& reader, SearchAxis& axis);
void finish_block(TableReader& reader, SearchBudget& budget);

// Refuses the keys that mean nothing for what a budget counts; `sizes` are those that may hold a text such as "24GB".
void check_budget_keys(TableReader& reader, const SearchBudget& budget, const std::vector<const char*>& sizes);

}  // namespace espalier
