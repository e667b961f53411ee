// SPDX-License-Identifier: Apache-2.0
#include "core/stats/components.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/base/error.hpp"

namespace espalier {
namespace {

double square(double x) { return x * x; }

double total(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

// Mean over replicates, of each document.
std::vector<double> mean_of(const Replicates& stratum) {
  std::vector<double> mean(stratum.sums.front().size(), 0.0);
  for (const std::vector<double>& sums : stratum.sums) {
    for (std::size_t d = 0; d < mean.size(); ++d) mean[d] += sums[d] / static_cast<double>(stratum.sums.size());
  }
  return mean;
}

// Of the mean of a stratum with at least two replicates.
struct Spread {
  double seeds = 0.0, residual = 0.0, degrees = 0.0;
};

Spread spread_of(const Replicates& stratum, const std::vector<double>& mean, const std::vector<double>& tokens) {
  const double all = total(tokens), theta = total(mean) / all;
  const auto count = static_cast<double>(stratum.sums.size());
  Spread spread;
  spread.degrees = count - 1.0;
  for (const std::vector<double>& sums : stratum.sums) {
    const double own = total(sums) / all;
    spread.seeds += square(own - theta);
    for (std::size_t d = 0; d < tokens.size(); ++d)
      spread.residual += square((sums[d] - own * tokens[d] - mean[d] + theta * tokens[d]) / all);
  }
  spread.seeds /= count * (count - 1.0);
  spread.residual /= count * (count - 1.0);
  return spread;
}

// Adds up over strata. One without a second replicate is taken to vary as the others do.
void add_spreads(const Sample& sample, const std::vector<std::vector<double>>& means, Components& result) {
  double seeds_of_one = 0.0, residual_of_one = 0.0, known = 0.0, squares = 0.0;
  std::vector<Spread> spreads(sample.strata.size());
  for (std::size_t g = 0; g < spreads.size(); ++g) {
    const auto count = static_cast<double>(sample.strata[g].sums.size());
    if (count < 2) continue;
    spreads[g] = spread_of(sample.strata[g], means[g], sample.tokens);
    seeds_of_one += spreads[g].seeds * count;
    residual_of_one += spreads[g].residual * count;
    known += 1.0;
  }
  if (known == 0.0) return;
  for (std::size_t g = 0; g < spreads.size(); ++g) {
    const double weight = square(sample.strata[g].weight);
    const bool alone = spreads[g].degrees == 0.0;
    const double seeds = weight * (alone ? seeds_of_one / known : spreads[g].seeds);
    result.seeds += seeds;
    result.residual += weight * (alone ? residual_of_one / known : spreads[g].residual);
    if (!alone) squares += square(seeds) / spreads[g].degrees;
    result.seeds_degrees += spreads[g].degrees;
  }
  // Welch and Satterthwaite; not above the plain count, which also stands where nothing varied at all.
  if (squares > 0.0) result.seeds_degrees = std::min(result.seeds_degrees, square(result.seeds) / squares);
}

// The sum of squares of what is left of the documents, when the estimate is taken from them, is smaller than it would
// be around the truth, and of fewer degrees than documents where a few long ones weigh most (Bell and McCaffrey 2002,
// "Bias reduction in standard errors for linear regression with multi-stage samples"). Both need an idea of how a
// document's difference varies with its length: in nats as length to the power 0.75, between what whole documents (1)
// and what single tokens (0.5) have. Twice the degrees: the sum of squares is large where the estimate is far from the
// truth, as the same long documents make both, and so misses less often than t says (by simulation, tests/core/stats).
struct Documents {
  double inflation = 1.0, degrees = 0.0;
};

Documents documents_of(const std::vector<double>& tokens) {
  const auto count = static_cast<double>(tokens.size());
  if (count < 2) return {};
  const double all = total(tokens);
  double v0 = 0.0, v1 = 0.0, v2 = 0.0, weights = 0.0;  // sums of variance × share^0, ^1, ^2 and of share²
  for (const double n : tokens) {
    const double share = n / all, variance = std::pow(share, 1.5);
    v0 += variance, v1 += variance * share, v2 += variance * square(share), weights += square(share);
  }
  // What is left is P z with P = I - shares · 1ᵀ, and the trace of (V PᵀP)² is summed over pairs with
  // (PᵀP)ij = [i = j] + Σ share² - share_i - share_j.
  double trace = square(weights * v0) + 2 * v2 * v0 + 2 * square(v1) - 4 * weights * v1 * v0;
  for (const double n : tokens) {
    const double share = n / all, variance = std::pow(share, 1.5);
    trace += square(variance) * (1.0 + 2.0 * (weights - 2.0 * share));
  }
  const double left = v0 - 2 * v1 + v0 * weights;
  return {v0 / left, std::min(count - 1.0, 2.0 * square(left) / trace)};
}

}  // namespace

double Components::variance() const { return std::max({seeds, documents, seeds + documents - residual}); }

Components components_of(const Sample& sample) {
  ESPALIER_CHECK(!sample.strata.empty() && total(sample.tokens) > 0.0);
  Components result;
  result.size = sample.tokens.size();
  result.replicates = std::numeric_limits<std::size_t>::max();
  std::vector<std::vector<double>> means;
  std::vector<double> combined(result.size, 0.0);
  for (const Replicates& stratum : sample.strata) {
    means.push_back(mean_of(stratum));
    for (std::size_t d = 0; d < result.size; ++d) combined[d] += stratum.weight * means.back()[d];
    result.replicates = std::min(result.replicates, stratum.sums.size());
  }
  const double all = total(sample.tokens);
  result.estimate = total(combined) / all;
  add_spreads(sample, means, result);
  const Documents documents = documents_of(sample.tokens);
  for (std::size_t d = 0; d < result.size; ++d)
    result.documents += square((combined[d] - result.estimate * sample.tokens[d]) / all);
  result.documents_degrees = documents.degrees;
  result.documents *= documents.inflation;
  result.residual *= documents.inflation;
  return result;
}

}  // namespace espalier
