// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace espalier {

// comparison.json as the page carries it, at most `bytes` long as far as thinning can do it (summaries are never cut):
// - maps of scores: rows are strings, one symbol of kLevels for a bin: "A" the lowest score of the map, "_" the
// highest,
//   "." none. `low` and `high` say what they stand for: the 1st and 99th percentile of a map with 100 bins or more,
//   what lies beyond is drawn as they are. `kept`: "A" nothing kept, "_" everything.
// - training curves: every n-th point and the last; numbers to six digits. `thinned`: n.
nlohmann::json page_data(const nlohmann::json& comparison, std::size_t bytes);

inline constexpr const char* kLevels = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// JSON that can stand inside a <script> of a page: no '<' in it.
std::string script_json(const nlohmann::json& value);

}  // namespace espalier
