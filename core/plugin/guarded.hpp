// SPDX-License-Identifier: Apache-2.0
// Components as the host uses them: whatever their code throws, at any time, comes out as Error with the component and
// its plugin in front. A crash names them too.
#pragma once

#include <memory>
#include <string>

#include "core/base/crash.hpp"
#include "espalier/sdk/axis.hpp"
#include "espalier/sdk/feature_loss.hpp"
#include "espalier/sdk/loss.hpp"
#include "espalier/sdk/metric.hpp"
#include "espalier/sdk/scheduler.hpp"

namespace espalier {

// `context`: "in loss 'kl' (plugin losses 0.1.0)"
std::unique_ptr<ImportanceMetric> guard(std::unique_ptr<ImportanceMetric> inner, const std::string& context);
std::unique_ptr<PruningAxis> guard(std::unique_ptr<PruningAxis> inner, const std::string& context);
std::unique_ptr<LogitLoss> guard(std::unique_ptr<LogitLoss> inner, const std::string& context);
std::unique_ptr<FeatureLoss> guard(std::unique_ptr<FeatureLoss> inner, const std::string& context);
std::unique_ptr<Scheduler> guard(std::unique_ptr<Scheduler> inner, const std::string& context);

// Throws the exception that is being handled again, as `context: its text`: a RecipeError and an InternalError stay
// what they are, all others become Error. Only inside a catch block.
[[noreturn]] void rethrow_in(const std::string& context);

// Runs plugin code.
template <class Function>
decltype(auto) in_plugin(const std::string& context, Function&& function) {
  const CrashPlace place(context.c_str());
  try {
    return function();
  } catch (...) {
    rethrow_in(context);
  }
}

}  // namespace espalier
