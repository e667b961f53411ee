// SPDX-License-Identifier: Apache-2.0
// Comparisons as they would be with known effects of seeds, documents and what is left.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "core/base/random.hpp"
#include "core/stats/components.hpp"

namespace espalier::testing {

struct Effects {
  double seed = 0.0, document = 0.0, rest = 0.0;  // standard deviations, in nats per token
  double difference = 0.0;                        // the true one
  double spread = 1.0;  // of the logarithm of lengths: 1 gives one document in 40 seven times the median
};

// Draws in order; what one comparison takes does not depend on the others.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : seed_(seed) {}
  double normal() { return espalier::normal(seed_, at_++); }

 private:
  std::uint64_t seed_, at_ = 0;
};

inline std::vector<double> lengths(Draw& draw, std::size_t documents, double spread) {
  std::vector<double> tokens(documents);
  for (double& n : tokens) n = std::ceil(200.0 * std::exp(spread * draw.normal()));
  return tokens;
}

// The differences of `seeds` seeds: tokens × (difference + seed + document + rest), rest less the longer the document.
inline Replicates replicates(Draw& draw, std::size_t seeds, const std::vector<double>& tokens,
                             const std::vector<double>& of_documents, const Effects& effects) {
  Replicates result;
  for (std::size_t s = 0; s < seeds; ++s) {
    const double seed = effects.seed * draw.normal();
    result.sums.emplace_back();
    for (std::size_t d = 0; d < tokens.size(); ++d) {
      const double rest = effects.rest * draw.normal() * std::sqrt(200.0 / tokens[d]);
      result.sums.back().push_back(tokens[d] * (effects.difference + seed + of_documents[d] + rest));
    }
  }
  return result;
}

inline std::vector<double> document_effects(Draw& draw, std::size_t documents, const Effects& effects) {
  std::vector<double> result(documents);
  for (double& effect : result) effect = effects.document * draw.normal();
  return result;
}

inline Sample simulate(std::uint64_t seed, std::size_t seeds, std::size_t documents, const Effects& effects) {
  Draw draw(seed);
  Sample sample;
  sample.tokens = lengths(draw, documents, effects.spread);
  const std::vector<double> of_documents = document_effects(draw, documents, effects);
  sample.strata.push_back(replicates(draw, seeds, sample.tokens, of_documents, effects));
  return sample;
}

}  // namespace espalier::testing
