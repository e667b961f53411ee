// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/checkpoint/safetensors.hpp"
#include "core/checkpoint/safetensors_header.hpp"
#include "core/checkpoint/text.hpp"

namespace espalier {
namespace {

constexpr std::array<std::pair<at::ScalarType, const char*>, 10> kDtypes = {{
    {at::ScalarType::Double, "F64"},
    {at::ScalarType::Float, "F32"},
    {at::ScalarType::Half, "F16"},
    {at::ScalarType::BFloat16, "BF16"},
    {at::ScalarType::Long, "I64"},
    {at::ScalarType::Int, "I32"},
    {at::ScalarType::Short, "I16"},
    {at::ScalarType::Char, "I8"},
    {at::ScalarType::Byte, "U8"},
    {at::ScalarType::Bool, "BOOL"},
}};

constexpr std::array<std::pair<at::ScalarType, const char*>, 3> kWeightDtypes = {{
    {at::ScalarType::Float, "float32"},
    {at::ScalarType::BFloat16, "bfloat16"},
    {at::ScalarType::Half, "float16"},
}};

}  // namespace

std::string dtype_name(at::ScalarType dtype) {
  for (const auto& [type, name] : kDtypes) {
    if (type == dtype) return name;
  }
  ESPALIER_CHECK(false, "safetensors has no name for ", c10::toString(dtype));
}

at::ScalarType dtype_from_name(const std::string& name, const std::string& source) {
  std::vector<std::string> known;
  for (const auto& [type, known_name] : kDtypes) {
    if (name == known_name) return type;
    known.push_back(known_name);
  }
  fail("{}: dtype is not supported; got {}; expected {}", source, in_quotes(name), any_of(known));
}

at::ScalarType dtype_from_config(const std::string& name, const std::string& source) {
  const std::string_view prefix = "torch.";
  const std::string bare = name.starts_with(prefix) ? name.substr(prefix.size()) : name;
  std::vector<std::string> known;
  for (const auto& [type, known_name] : kWeightDtypes) {
    if (bare == known_name) return type;
    known.push_back(known_name);
  }
  fail("{}: dtype is not supported; got {}; expected {}{}", source, in_quotes(name), any_of(known),
       did_you_mean(bare, known));
}

std::string dtype_to_config(at::ScalarType dtype) {
  for (const auto& [type, name] : kWeightDtypes) {
    if (type == dtype) return name;
  }
  ESPALIER_CHECK(false, "weights are never stored as ", c10::toString(dtype));
}

}  // namespace espalier
