// SPDX-License-Identifier: Apache-2.0
#include "espalier/sdk/plugin.hpp"

#include "activation.hpp"
#include "angular_distance.hpp"
#include "block_influence.hpp"
#include "fluctuation.hpp"
#include "kl_drop.hpp"
#include "loss_drop.hpp"
#include "magnitude.hpp"
#include "position.hpp"
#include "random.hpp"
#include "task_drop.hpp"
#include "taylor.hpp"
#include "wanda.hpp"

ESPALIER_PLUGIN("importance", ESPALIER_VERSION, registrar) {
  using namespace espalier::plugins;
  registrar.add<ActivationMetric>("activation",
                                  "|activation| of each unit, over the tokens of a sample, then over the samples");
  registrar.add<TaylorMetric>("taylor", "how much the calibration nll changes with a unit at zero, by its gradient");
  registrar.add<WandaMetric>("wanda", "|weight| times the norm of what it reads, over the weights that read a unit");
  registrar.add<FluctuationMetric>("fluctuation",
                                   "variance of each unit over the tokens, with the weights that read it (FLAP)");
  registrar.add<MagnitudeMetric>("magnitude", "l1 or l2 norm of each unit's weights; sees no data");
  registrar.add<RandomMetric>("random", "uniform random scores from the recipe's seed: the baseline to beat");
  registrar.add<BlockInfluence>("block_influence",
                                "layers and their parts: mean over tokens of 1 - cos(input, output)");
  registrar.add<AngularDistance>("angular_distance",
                                 "layers, their parts and runs of layers: the angle between input and output, over pi");
  registrar.add<LossDrop>("loss_drop",
                          "layers, their parts and runs: how much the calibration nll rises with the unit skipped");
  registrar.add<KlDrop>("kl_drop", "layers, their parts and runs: KL of the predictions with the unit skipped");
  registrar.add<TaskDrop>(
      "task_drop", "layers, their parts and runs: how much the accuracy in a choice task falls with the unit skipped");
  registrar.add<PositionMetric>("position", "layers and their parts by their place alone: first, last, early or late");
}
