// SPDX-License-Identifier: Apache-2.0
// Everything the author of a plugin needs to test it:
//
//   int main() { return espalier::testkit::print<Peak>("peak") ? 0 : 1; }
#pragma once

#include <iostream>
#include <string>
#include <type_traits>

#include "espalier/testkit/axis.hpp"
#include "espalier/testkit/feature_loss.hpp"
#include "espalier/testkit/logit_loss.hpp"
#include "espalier/testkit/metric.hpp"
#include "espalier/testkit/scheduler.hpp"

namespace espalier::testkit {

namespace detail {

template <class T>
using InterfaceOf = std::conditional_t<
    std::is_base_of_v<ImportanceMetric, T>, ImportanceMetric,
    std::conditional_t<
        std::is_base_of_v<PruningAxis, T>, PruningAxis,
        std::conditional_t<std::is_base_of_v<LogitLoss, T>, LogitLoss,
                           std::conditional_t<std::is_base_of_v<FeatureLoss, T>, FeatureLoss, Scheduler>>>>;

}  // namespace detail

// The whole kit on a component, as it would be registered: registrar.add<T>(name, …).
template <class T>
Report check(const std::string& name) {
  const espalier::detail::FactoryOf<detail::InterfaceOf<T>, T> factory;
  return check(name, static_cast<const Factory<detail::InterfaceOf<T>>&>(factory));
}

// The same, printed; true when every property holds.
template <class T>
bool print(const std::string& name, std::ostream& out = std::cout) {
  const Report report = check<T>(name);
  out << to_text(report);
  return report.ok();
}

}  // namespace espalier::testkit
