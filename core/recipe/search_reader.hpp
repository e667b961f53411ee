// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/recipe/search_block.hpp"
#include "core/recipe/table_reader.hpp"

namespace espalier {

// The places and the rules between the fields of one entry of [search]: TableReader::blocks calls them.
void finish_block(TableReader& reader, SearchAxis& axis);
void finish_block(TableReader& reader, SearchBudget& budget);

}  // namespace espalier
