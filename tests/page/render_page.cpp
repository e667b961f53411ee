// SPDX-License-Identifier: Apache-2.0
// render_page COMPARISON.json PAGE.html: the page alone, for tests that look at it in a browser.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "core/report/page.hpp"

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: render_page COMPARISON.json PAGE.html\n"), 2;
  try {
    espalier::write_text(argv[2], espalier::report_page(espalier::read_json(argv[1])));
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "%s\n", error.what()), 1;
  }
  return 0;
}
