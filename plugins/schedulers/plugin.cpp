// SPDX-License-Identifier: Apache-2.0
#include "espalier/sdk/plugin.hpp"

#include "constant.hpp"
#include "cosine.hpp"
#include "inverse_sqrt.hpp"
#include "linear.hpp"
#include "polynomial.hpp"
#include "wsd.hpp"

ESPALIER_PLUGIN("schedulers", ESPALIER_VERSION, registrar) {
  using namespace espalier::plugins;
  registrar.add<CosineScheduler>("cosine", "linear warm-up to peak, then half a cosine down to min");
  registrar.add<LinearScheduler>("linear", "linear warm-up to peak, then a straight line down to min");
  registrar.add<PolynomialScheduler>("polynomial", "linear warm-up to peak, then a power of what is left down to min");
  registrar.add<WsdScheduler>("wsd", "linear warm-up to peak, which stays, and falls to min over the end of the run");
  registrar.add<InverseSqrtScheduler>("inverse_sqrt",
                                      "linear warm-up to peak, then down as 1/sqrt(step), not below min");
  registrar.add<ConstantScheduler>("constant", "linear warm-up to peak, which then stays");
}
