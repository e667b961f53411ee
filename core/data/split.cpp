// SPDX-License-Identifier: Apache-2.0
#include "core/data/split.hpp"

#include "core/base/error.hpp"

namespace espalier {

bool is_validation(std::uint64_t identity, double valid_fraction) {
  return static_cast<double>(identity >> 11) * 0x1.0p-53 < valid_fraction;
}

std::optional<TokenFile> split_part(const TokenFile& tokens, const std::string& name, Split split,
                                    double valid_fraction) {
  const std::vector<std::int64_t>& ends = tokens.document_ends();
  if (ends.size() == 1 && !tokens.has_records()) {
    fail(
        "{}: cannot be split by document; got one document of {} tokens; expected a .bin with an .idx, text, or data "
        "for validation of its own",
        name, tokens.size());
  }
  std::vector<std::int64_t> chosen;
  std::int64_t size = 0;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    const auto document = static_cast<std::int64_t>(i);
    if (is_validation(tokens.record(document).identity, valid_fraction) != (split == Split::valid)) continue;
    chosen.push_back(document);
    size += ends[i] - (i == 0 ? 0 : ends[i - 1]);
  }
  if (size == 0) return std::nullopt;
  return tokens.select(chosen);
}

}  // namespace espalier
