// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

namespace espalier {

// A file of sdk/templates/, which travels inside the program: "metric/@name@.cpp.in" and its text.
struct TemplateFile {
  std::string_view path, text;
};

std::span<const TemplateFile> template_files();

}  // namespace espalier
