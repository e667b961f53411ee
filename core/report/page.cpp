// SPDX-License-Identifier: Apache-2.0
#include "core/report/page.hpp"

namespace espalier {

std::string report_page(const nlohmann::json& comparison) {
  return "<!doctype html>\n<meta charset=\"utf-8\">\n<title>comparison</title>\n<pre>" + comparison.dump(2) +
         "</pre>\n";
}

}  // namespace espalier
