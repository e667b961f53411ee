// SPDX-License-Identifier: Apache-2.0
#include "espalier/sdk/plugin.hpp"

#include "cosine.hpp"
#include "cross_entropy.hpp"
#include "hidden_cosine.hpp"
#include "hidden_mse.hpp"
#include "jsd.hpp"
#include "kl.hpp"
#include "mse.hpp"
#include "reverse_kl.hpp"
#include "topk_kl.hpp"
#include "tvd.hpp"

ESPALIER_PLUGIN("losses", ESPALIER_VERSION, registrar) {
  using namespace espalier::plugins;
  registrar.add<KlLoss>("kl", "forward KL divergence from the teacher's distribution to the student's");
  registrar.add<ReverseKlLoss>("reverse_kl", "KL divergence from the student's distribution to the teacher's");
  registrar.add<JsdLoss>("jsd", "generalised Jensen-Shannon divergence; beta 0 is forward KL, beta 1 reverse KL");
  registrar.add<TvdLoss>("tvd", "total variation: half the sum of |p - q| over the softened probabilities");
  registrar.add<MseLoss>("mse", "mean over the vocabulary of (q - p)^2, of the softened probabilities, not of logits");
  registrar.add<CosineLoss>("cosine", "1 - cosine of the softened probabilities of teacher and student, not of logits");
  registrar.add<TopkKlLoss>("topk_kl", "forward KL over the teacher's k largest; the rest dropped, or one class");
  registrar.add<CrossEntropyLoss>("cross_entropy", "cross entropy with the next token; needs no teacher");
  registrar.add<HiddenCosineLoss>("hidden_cosine", "1 - cosine of the hidden states of pairs of layers");
  registrar.add<HiddenMseLoss>("hidden_mse", "mean squared difference of the hidden states of pairs of layers");
}
