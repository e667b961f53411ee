// SPDX-License-Identifier: Apache-2.0
#include "taps.hpp"

namespace espalier::plugins {
namespace {

std::string taps_in_words(const AxisInfo& axis) {
  std::string text;
  for (std::size_t i = 0; i < axis.taps.size(); ++i) {
    text += concat(i == 0 ? "" : i + 1 == axis.taps.size() ? " or " : ", ", "'", name_of(axis.taps[i]), "'");
  }
  return text;
}

void require_taps(const std::string& metric, const AxisInfo& axis) {
  if (!axis.taps.empty()) return;
  throw RecipeError(concat("metric '", metric, "' needs an axis whose units have activations; got axis '", axis.name,
                           "'; expected an axis of a width, such as 'hidden', 'ffn' or 'heads'"));
}

}  // namespace

Limits any_tap() { return one_of({"", "norm_output", "pre_activation", "up_output", "fc2_input", "o_proj_input"}); }

Tap tap_of(const std::string& metric, const AxisInfo& axis, const std::string& wanted) {
  require_taps(metric, axis);
  if (wanted.empty()) return axis.taps.front();
  for (const Tap tap : axis.taps) {
    if (wanted == name_of(tap)) return tap;
  }
  throw RecipeError(concat("tap of metric '", metric, "' does not see the units of axis '", axis.name, "'; got '",
                           wanted, "'; expected ", taps_in_words(axis)));
}

Tap read_tap_of(const std::string& metric, const AxisInfo& axis) {
  require_taps(metric, axis);
  for (const Tap tap : axis.taps) {
    if (tap == Tap::norm_output || tap == Tap::fc2_input || tap == Tap::o_proj_input) return tap;
  }
  throw RecipeError(concat("metric '", metric, "' needs a tap that matrices read; got axis '", axis.name, "' with ",
                           taps_in_words(axis), "; expected 'norm_output', 'fc2_input' or 'o_proj_input'"));
}

}  // namespace espalier::plugins
