// SPDX-License-Identifier: Apache-2.0
#include "espalier/sdk/plugin.hpp"

#include "constant.hpp"
#include "cosine.hpp"

ESPALIER_PLUGIN("schedulers", ESPALIER_VERSION, registrar) {
  using namespace espalier::plugins;
  registrar.add<CosineScheduler>("cosine", "linear warm-up to peak, then half a cosine down to min");
  registrar.add<ConstantScheduler>("constant", "linear warm-up to peak, which then stays");
}
