// SPDX-License-Identifier: Apache-2.0
#include "core/stats/power.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/stats/interval.hpp"
#include "core/stats/quantiles.hpp"

namespace espalier {
namespace {

constexpr std::size_t kMost = 1'000'000;

// The least count from `first` on that suffices. More is taken to be no worse.
std::optional<std::size_t> fewest(std::size_t first, const std::function<bool(std::size_t)>& suffices) {
  if (suffices(first)) return first;
  std::size_t low = first, high = first * 2;
  while (!suffices(high)) {
    if (high > kMost) return std::nullopt;
    low = high, high *= 2;
  }
  while (high - low > 1) {
    const std::size_t middle = low + (high - low) / 2;
    (suffices(middle) ? high : low) = middle;
  }
  return high;
}

}  // namespace

Components scaled(const Components& components, std::size_t replicates, std::size_t documents) {
  const double seeds = static_cast<double>(components.replicates) / static_cast<double>(replicates);
  const double texts = static_cast<double>(components.size) / static_cast<double>(documents);
  const double own_seeds = std::max(0.0, components.seeds - components.residual);
  const double own_documents = std::max(0.0, components.documents - components.residual);
  Components result = components;
  result.replicates = replicates;
  result.size = documents;
  result.residual = components.residual * seeds * texts;
  result.documents_degrees = components.documents_degrees / texts;
  if (!components.covers_seeds()) {
    result.documents = components.documents * texts;
    return result;
  }
  result.seeds = own_seeds * seeds + result.residual;
  result.documents = own_documents * texts + result.residual;
  const double now = static_cast<double>(components.replicates), then = static_cast<double>(replicates);
  result.seeds_degrees = components.seeds_degrees * std::max(then - 1.0, 1.0) / std::max(now - 1.0, 1.0);
  return result;
}

double power(const Components& components, double difference, double level) {
  const double variance = components.variance();
  if (variance <= 0.0) return difference == 0.0 ? 0.0 : 1.0;
  const double documents = std::max(0.0, components.documents - components.residual);
  const auto share = [](double part, double degrees) { return degrees > 0.0 ? part * part / degrees : 0.0; };
  const double squares =
      share(components.seeds, components.seeds_degrees) + share(documents, components.documents_degrees);
  const double degrees = squares > 0.0 ? variance * variance / squares : 1e9;
  return t_beyond(half_width(components, level) / std::sqrt(variance), degrees, difference / std::sqrt(variance));
}

Needed needed(const Components& components, double level, double wanted) {
  const auto enough = [&](std::size_t replicates, std::size_t documents) {
    return power(scaled(components, replicates, documents), components.estimate, level) >= wanted;
  };
  Needed result;
  if (components.covers_seeds()) {
    result.seeds = fewest(std::max<std::size_t>(components.replicates, 2),
                          [&](std::size_t count) { return enough(count, components.size); });
  }
  if (components.covers_documents() && !result.seeds) {
    result.documents = fewest(components.size, [&](std::size_t count) { return enough(components.replicates, count); });
  }
  return result;
}

}  // namespace espalier
