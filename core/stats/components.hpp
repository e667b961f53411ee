// SPDX-License-Identifier: Apache-2.0
// How two models differ on the same documents, and where the uncertainty of that comes from: seeds and documents are
// crossed random effects. Resampling both together (the pigeonhole bootstrap: Owen 2007, "The pigeonhole bootstrap",
// Annals of Applied Statistics 1) has a variance in closed form, so that nothing is resampled here: up to the factors
// (S-1)/S and (D-1)/D by which it is too small with few seeds, it is what seeds vary by + what documents vary by + what
// is left. These factors are put right (for documents of unequal length: Bell and McCaffrey 2002), and what is left,
// which is part of the other two, is not counted again.
#pragma once

#include <cstddef>
#include <vector>

namespace espalier {

// Models of one kind that differ in their seed alone: differences of a seed that both arms have, or one arm's own
// losses where the arms share no seed.
struct Replicates {
  double weight = 1.0;                    // of their mean in the estimate, e.g. one divided by the number of teachers
  std::vector<std::vector<double>> sums;  // [replicate][document]: nats over the document's tokens
};

struct Sample {
  std::vector<Replicates> strata;
  std::vector<double> tokens;  // of each document, the same for all models
};

struct Components {
  double estimate = 0.0;  // nats per token: the sum over documents ÷ their tokens, averaged over seeds
  // Variances of the estimate: what it would vary by if only the seeds, or only the documents, were drawn again; what
  // seeds and documents do together is in both of them and is `residual`.
  double seeds = 0.0, documents = 0.0, residual = 0.0;
  double seeds_degrees = 0.0, documents_degrees = 0.0;  // 0: nothing to learn this variance from
  std::size_t replicates = 0;                           // the fewest in a stratum
  std::size_t size = 0;                                 // documents
  bool covers_seeds() const { return seeds_degrees > 0; }
  bool covers_documents() const { return documents_degrees > 0; }
  // Of the estimate, with each source once; never below that of either source.
  double variance() const;
};

// At least one stratum with one replicate, and tokens above 0.
Components components_of(const Sample& sample);

}  // namespace espalier
