// SPDX-License-Identifier: Apache-2.0
// How a plugin hands its components to the host.
//
//   ESPALIER_PLUGIN("importance", "0.1.0", registrar) {
//     registrar.add<Activation>("activation", "|x| of each unit, reduced over the sequence, then over the samples");
//   }
#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "espalier/sdk/axis.hpp"
#include "espalier/sdk/feature_loss.hpp"
#include "espalier/sdk/host.hpp"
#include "espalier/sdk/loss.hpp"
#include "espalier/sdk/metric.hpp"
#include "espalier/sdk/options.hpp"
#include "espalier/sdk/scheduler.hpp"

namespace espalier {
inline namespace abi_2 {

// Makes instances of one component.
template <class Interface>
class ESPALIER_SDK_VISIBLE Factory {
 public:
  virtual ~Factory() = default;
  virtual std::vector<FieldInfo> fields() const = 0;
  // Reads the options and reports problems, without making anything.
  virtual void check(OptionSource& source) const = 0;
  virtual std::unique_ptr<Interface> create(OptionSource& source, const Host& host) const = 0;
};

// The typed registries of the host, as a plugin sees them. Throws Error on a duplicate name.
class ESPALIER_SDK_VISIBLE Registrar {
 public:
  virtual ~Registrar() = default;

  // T derives from one of the interfaces, has `using Options = …` (or NoOptions) and a constructor from
  // (const Options&) or (const Options&, const Host&). `doc` is the one line that `plugins list` prints.
  template <class T>
  void add(const std::string& name, const std::string& doc);

 protected:
  virtual void add_metric(const std::string& name, const std::string& doc,
                          std::unique_ptr<Factory<ImportanceMetric>> factory) = 0;
  virtual void add_axis(const std::string& name, const std::string& doc,
                        std::unique_ptr<Factory<PruningAxis>> factory) = 0;
  virtual void add_logit_loss(const std::string& name, const std::string& doc,
                              std::unique_ptr<Factory<LogitLoss>> factory) = 0;
  virtual void add_scheduler(const std::string& name, const std::string& doc,
                             std::unique_ptr<Factory<Scheduler>> factory) = 0;
  virtual void add_feature_loss(const std::string& name, const std::string& doc,
                                std::unique_ptr<Factory<FeatureLoss>> factory) = 0;
};

}  // namespace abi_2

namespace detail {

template <class Interface, class T>
class FactoryOf final : public Factory<Interface> {
 public:
  using Options = typename T::Options;
  std::vector<FieldInfo> fields() const override { return option_fields<Options>(); }
  void check(OptionSource& source) const override { parse_options<Options>(source); }
  std::unique_ptr<Interface> create(OptionSource& source, const Host& host) const override {
    const Options options = parse_options<Options>(source);
    if constexpr (std::is_constructible_v<T, const Options&, const Host&>) {
      return std::make_unique<T>(options, host);
    } else {
      return std::make_unique<T>(options);
    }
  }
};

}  // namespace detail

template <class T>
void Registrar::add(const std::string& name, const std::string& doc) {
  if constexpr (std::is_base_of_v<ImportanceMetric, T>) {
    add_metric(name, doc, std::make_unique<detail::FactoryOf<ImportanceMetric, T>>());
  } else if constexpr (std::is_base_of_v<PruningAxis, T>) {
    add_axis(name, doc, std::make_unique<detail::FactoryOf<PruningAxis, T>>());
  } else if constexpr (std::is_base_of_v<LogitLoss, T>) {
    add_logit_loss(name, doc, std::make_unique<detail::FactoryOf<LogitLoss, T>>());
  } else if constexpr (std::is_base_of_v<FeatureLoss, T>) {
    add_feature_loss(name, doc, std::make_unique<detail::FactoryOf<FeatureLoss, T>>());
  } else {
    static_assert(std::is_base_of_v<Scheduler, T>,
                  "a component is an ImportanceMetric, PruningAxis, LogitLoss, FeatureLoss or Scheduler");
    add_scheduler(name, doc, std::make_unique<detail::FactoryOf<Scheduler, T>>());
  }
}

}  // namespace espalier

// Defines the plugin's entry. `name` and `version` are string literals; `registrar` names the parameter of the body
// that follows.
#define ESPALIER_PLUGIN(plugin_name, plugin_version, registrar)                                                      \
  static void espalier_register_components(::espalier::Registrar& registrar);                                        \
  extern "C" {                                                                                                       \
  extern ESPALIER_SDK_VISIBLE const ::espalier::PluginDescriptor espalier_plugin;                                    \
  __attribute__((used, section(ESPALIER_STAMP))) const ::espalier::PluginDescriptor espalier_plugin = {              \
      ::espalier::kPluginMagic, sizeof(::espalier::PluginDescriptor), ::espalier::kAbi, ESPALIER_STAMP, plugin_name, \
      plugin_version,           &espalier_register_components};                                                      \
  }                                                                                                                  \
  static void espalier_register_components(::espalier::Registrar& registrar)
