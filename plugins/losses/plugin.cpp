// SPDX-License-Identifier: Apache-2.0
#include "espalier/sdk/plugin.hpp"

#include "cross_entropy.hpp"
#include "kl.hpp"

ESPALIER_PLUGIN("losses", ESPALIER_VERSION, registrar) {
  using namespace espalier::plugins;
  registrar.add<KlLoss>("kl", "forward KL divergence from the teacher's distribution to the student's");
  registrar.add<CrossEntropyLoss>("cross_entropy", "cross entropy with the next token; needs no teacher");
}
