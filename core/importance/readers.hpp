// SPDX-License-Identifier: Apache-2.0
// The matrices that read an activation: what Needs::readers asks to be shown.
#pragma once

#include <cstdint>
#include <vector>

#include "core/forward/decoder.hpp"
#include "core/importance/sites.hpp"

namespace espalier {

// The taps that matrices read.
std::vector<Tap> read_taps();

// The matrices that read what passes the tap for the `occurrence`-th time in a layer; none where it passes less often.
std::vector<Role> readers_of(const ModelSpec& spec, std::int64_t layer, Tap tap, std::int64_t occurrence);

// They beside each other, for units that lie in the tap as `split` says: (units, channels, outputs) float32.
at::Tensor readers_by_unit(const Weights& weights, const std::vector<Role>& roles, const Split& split);

// Shows the readers to every place of a layer that has not begun; those that have were shown them in an earlier tile.
void show_readers(Sites& sites, const ModelSpec& spec, std::int64_t layer, const Weights& weights);

}  // namespace espalier
