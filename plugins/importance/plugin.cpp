// SPDX-License-Identifier: Apache-2.0
#include "espalier/sdk/plugin.hpp"

#include "activation.hpp"
#include "block_influence.hpp"
#include "loss_drop.hpp"
#include "magnitude.hpp"
#include "random.hpp"

ESPALIER_PLUGIN("importance", ESPALIER_VERSION, registrar) {
  using namespace espalier::plugins;
  registrar.add<ActivationMetric>("activation",
                                  "|activation| of each unit, over the tokens of a sample, then over the samples");
  registrar.add<MagnitudeMetric>("magnitude", "l1 or l2 norm of each unit's weights; sees no data");
  registrar.add<RandomMetric>("random", "uniform random scores from the recipe's seed: the baseline to beat");
  registrar.add<BlockInfluence>("block_influence",
                                "layers: mean over tokens of 1 - cos(layer's input, layer's output)");
  registrar.add<LossDrop>("loss_drop", "layers: how much the calibration nll rises with the layer skipped");
}
