// SPDX-License-Identifier: Apache-2.0
#include "core/stats/quantiles.hpp"

#include <cmath>

#include <boost/math/distributions/non_central_t.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>

namespace espalier {
namespace {

constexpr double kNormalFrom = 1e6;  // degrees beyond which t is the normal distribution to seven digits

}  // namespace

double t_quantile(double probability, double degrees) {
  if (degrees > kNormalFrom) return boost::math::quantile(boost::math::normal(), probability);
  return boost::math::quantile(boost::math::students_t(degrees), probability);
}

double t_beyond(double critical, double degrees, double shift) {
  shift = std::abs(shift);
  if (degrees > kNormalFrom || shift > 30.0) {  // so far away that the shape of the tail does not matter
    const boost::math::normal normal;
    return cdf(normal, shift - critical) + cdf(normal, -shift - critical);
  }
  const boost::math::non_central_t t(degrees, shift);
  return cdf(complement(t, critical)) + cdf(t, -critical);
}

}  // namespace espalier
