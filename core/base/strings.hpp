// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace espalier {

std::string join(const std::vector<std::string>& parts, std::string_view separator);

// The parts between colons of an environment variable, without empty ones: a list of folders.
std::vector<std::string> parts_of_variable(const char* name);

// 'a', 'b' or 'c'
std::string any_of(const std::vector<std::string>& choices);

// The choice nearest in spelling (Damerau-Levenshtein), or "" when none is near enough to have been meant.
std::string nearest(std::string_view word, const std::vector<std::string>& choices);

// "; did you mean 'x'?" or "".
std::string did_you_mean(std::string_view word, const std::vector<std::string>& choices);

std::string with_commas(std::int64_t number);  // 8,030,261,248
std::string human_bytes(double bytes);         // 1.5 GB (powers of 1000)
std::string human_count(double count);         // 1.18 M
std::string human_time(double seconds);        // 1 h 02 min, 3 min 05 s, 4.2 s

// "5GB", "512MiB", "1000" → bytes; throws Error naming the text.
std::int64_t parse_bytes(std::string_view text);

// Shell-like match of a whole path: * and ? stay inside a folder, ** crosses folders, {a,b} is either.
bool glob_match(std::string_view pattern, std::string_view path);

}  // namespace espalier
