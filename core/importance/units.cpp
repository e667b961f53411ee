// SPDX-License-Identifier: Apache-2.0
#include "core/importance/units.hpp"

#include <algorithm>

#include "core/base/error.hpp"

namespace espalier {
namespace {

std::int64_t product(const ModelSpec& spec, std::int64_t layer, DimProduct::const_iterator begin,
                     DimProduct::const_iterator end) {
  std::int64_t result = 1;
  for (; begin != end; ++begin) result *= extent_of(spec, layer, *begin);
  return result;
}

}  // namespace

std::optional<Split> split_at(const ModelSpec& spec, std::int64_t layer, const DimProduct& whole,
                              const DimProduct& axis) {
  const auto found = std::search(whole.begin(), whole.end(), axis.begin(), axis.end());
  if (axis.empty() || found == whole.end()) return std::nullopt;
  const auto after = found + static_cast<std::ptrdiff_t>(axis.size());
  return Split{product(spec, layer, whole.begin(), found), product(spec, layer, found, after),
               product(spec, layer, after, whole.end())};
}

Split split_of_tap(const ModelSpec& spec, std::int64_t layer, Tap tap, const AxisInfo& axis) {
  const std::optional<Split> split = split_at(spec, layer, dims_of(tap), axis.dims);
  if (!split) fail("axis '{}' names tap '{}', which does not carry its dimensions", axis.name, name_of(tap));
  return *split;
}

std::int64_t units_in(const ModelSpec& spec, const AxisInfo& axis, std::int64_t layer) {
  if (is_layers(axis)) return static_cast<std::int64_t>(layers_with(spec, axis.part).size());
  if (layer >= 0 && !has_dims(spec.layers[static_cast<std::size_t>(layer)], axis.dims)) return 0;
  return product(spec, layer, axis.dims.begin(), axis.dims.end());
}

at::Tensor units_of_tap(const at::Tensor& x, const Split& split) {
  const std::int64_t batch = x.size(0), seq = x.size(1);
  if (split.outer == 1) return x.reshape({batch, seq, split.units, split.inner});
  return x.reshape({batch, seq, split.outer, split.units, split.inner})
      .transpose(2, 3)
      .reshape({batch, seq, split.units, split.channels()});
}

void for_unit_rows(const at::Tensor& weight, std::int64_t dim, const Split& split,
                   const std::function<void(const at::Tensor&)>& show) {
  constexpr std::int64_t kPiece = 1 << 24;  // elements: 64 MiB of float32
  std::int64_t before = 1, after = 1;
  for (std::int64_t d = 0; d < weight.dim(); ++d) (d < dim ? before : after) *= d == dim ? 1 : weight.size(d);
  const at::Tensor view = weight.reshape({before, split.outer, split.units, split.inner, after});
  // Cut along the longer of the two outside dimensions.
  const std::int64_t along = before >= after ? 0 : 4;
  const std::int64_t slice = std::max<std::int64_t>(view.numel() / std::max<std::int64_t>(view.size(along), 1), 1);
  const std::int64_t step = std::max<std::int64_t>(kPiece / slice, 1);
  for (std::int64_t first = 0; first < view.size(along); first += step) {
    const at::Tensor piece = view.narrow(along, first, std::min(step, view.size(along) - first));
    show(piece.permute({2, 0, 1, 3, 4}).reshape({split.units, -1}).to(at::kFloat));
  }
}

}  // namespace espalier
