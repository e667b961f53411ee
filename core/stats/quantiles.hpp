// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {

// Of Student's t; `degrees` may be any number above 0, infinity is the normal distribution.
double t_quantile(double probability, double degrees);

// P(|T| > critical) of noncentral t: `shift` is the expected value of the numerator in standard errors.
double t_beyond(double critical, double degrees, double shift);

}  // namespace espalier
