// SPDX-License-Identifier: Apache-2.0
// The SDK's kit on one component, and what the host adds to it. All of them judge the plugin's own instances, not the
// guarded ones, so that what they throw arrives as it was thrown.
#pragma once

#include <string>
#include <vector>

#include "core/plugin/registry.hpp"
#include "espalier/testkit/options.hpp"

namespace espalier {

testkit::Report run_kit(const std::string& name, const Factory<ImportanceMetric>& factory);
testkit::Report run_kit(const std::string& name, const Factory<PruningAxis>& factory);
testkit::Report run_kit(const std::string& name, const Factory<LogitLoss>& factory);
testkit::Report run_kit(const std::string& name, const Factory<FeatureLoss>& factory);
testkit::Report run_kit(const std::string& name, const Factory<Scheduler>& factory);

// An axis that others are composed with.
struct PartnerAxis {
  std::string name;
  testkit::Make<PruningAxis> make;
};

// axis/masked-equals-sliced and axis/composes. A partner of the axis's own name is the axis itself: cut twice.
testkit::Report check_axis_in_host(const std::string& name, const testkit::Make<PruningAxis>& make,
                                   const std::vector<PartnerAxis>& partners, const std::string& options);

// metric/in-host
testkit::Report check_metric_in_host(const std::string& name, const testkit::Make<ImportanceMetric>& make,
                                     const std::string& options);

}  // namespace espalier
