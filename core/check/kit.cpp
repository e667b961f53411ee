// SPDX-License-Identifier: Apache-2.0
#include "core/check/kit.hpp"

#include "espalier/testkit/axis.hpp"
#include "espalier/testkit/feature_loss.hpp"
#include "espalier/testkit/logit_loss.hpp"
#include "espalier/testkit/metric.hpp"
#include "espalier/testkit/scheduler.hpp"

namespace espalier {

testkit::Report run_kit(const std::string& name, const Factory<ImportanceMetric>& factory) {
  return testkit::check(name, factory);
}
testkit::Report run_kit(const std::string& name, const Factory<PruningAxis>& factory) {
  return testkit::check(name, factory);
}
testkit::Report run_kit(const std::string& name, const Factory<LogitLoss>& factory) {
  return testkit::check(name, factory);
}
testkit::Report run_kit(const std::string& name, const Factory<FeatureLoss>& factory) {
  return testkit::check(name, factory);
}
testkit::Report run_kit(const std::string& name, const Factory<Scheduler>& factory) {
  return testkit::check(name, factory);
}

}  // namespace espalier
