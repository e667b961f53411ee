// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <thread>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/strings.hpp"
#include "core/cli/command_line.hpp"
#include "core/data/prepare.hpp"

namespace espalier {

int verb_pack(const Arguments& arguments) {
  po::options_description own;
  // clang-format off
  own.add_options()
      ("output,o", po::value<std::string>(), "PREFIX of the files to write: PREFIX.bin, PREFIX.idx, PREFIX.json")
      ("tokenizer", po::value<std::string>()->default_value("bytes"), "bytes, a folder with tokenizer.json, or a tokenizer.json")
      ("deduplicate", "documents with equal text count once")
      ("workers", po::value<std::int64_t>()->default_value(0), "tokenizing processes; 0: one per core");
  // clang-format on
  CommandLine line("pack", own, {"IN..."});
  if (!line.parse(arguments)) return 0;
  if (!line.has("output")) reject("espalier pack: -o PREFIX is missing; expected the name of the files to write");
  DataRequest request;
  for (const std::string& input : line.all("IN")) request.sources.push_back({input, std::nullopt, input});
  request.tokenizer = line.get("tokenizer");
  request.deduplicate = line.has("deduplicate");
  watch_signals();
  const std::int64_t workers = line.number("workers");
  const PackReport report =
      pack(request, line.get("output"),
           workers > 0 ? static_cast<int>(workers) : static_cast<int>(std::thread::hardware_concurrency()));
  if (line.json()) {
    print_json({{"documents", report.documents},
                {"duplicates", report.duplicates},
                {"tokens", report.tokens},
                {"bytes", report.bytes},
                {"token_type", report.token_type},
                {"output", line.get("output")}});
  } else {
    std::cout << fmt::format(
        "{}.bin: {} tokens ({}) of {} documents, {} of text; {} duplicates left out; documents end with the "
        "end-of-document token\n",
        line.get("output"), with_commas(report.tokens), report.token_type, with_commas(report.documents),
        human_bytes(static_cast<double>(report.bytes)), with_commas(report.duplicates));
  }
  return 0;
}

}  // namespace espalier
