// SPDX-License-Identifier: Apache-2.0
// Typed registries of components, owned by the host and passed down. The host knows kinds, never names.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/recipe/component.hpp"
#include "espalier/sdk/plugin.hpp"

namespace espalier {

struct PluginInfo {
  std::string name, version, path;
};

// One row of `plugins list`.
struct ComponentInfo {
  std::string kind, name, doc;
  PluginInfo plugin;
  std::vector<FieldInfo> fields;
};

// A loss is on logits or on features: one of the two.
struct Loss {
  std::unique_ptr<LogitLoss> on_logits;
  std::unique_ptr<FeatureLoss> on_features;
};

class Registry final : public Registrar {
 public:
  Registry();
  ~Registry() override;

  // Everything registered from now on comes from this plugin.
  void begin_plugin(const PluginInfo& plugin);
  // Takes back the plugin that was begun last, and what it registered.
  void cancel_plugin();

  std::vector<ComponentInfo> components() const;  // sorted by kind, then name
  std::vector<PluginInfo> plugins() const;        // in the order of loading
  // Unknown names throw RecipeError at the block's place with every known name and "did you mean".
  ComponentInfo describe(const ComponentBlock& block) const;
  // Whether a block names a loss on hidden states; false for every other kind and for names that are not known.
  bool is_feature_loss(const ComponentBlock& block) const;
  // What an axis with default options says of itself; nothing for an unknown axis or one that fails.
  std::optional<AxisInfo> axis_info(const std::string& name) const;

  // Checks name, unknown keys and options; every problem goes to `diagnostics`, with a note of where the component
  // comes from.
  void check(ComponentBlock& block, Diagnostics& diagnostics) const;

  // Makes an instance, checked again: problems of the block throw RecipeError. What plugin code throws, now or in any
  // later call, comes out as Error with component and plugin in front.
  std::unique_ptr<ImportanceMetric> metric(ComponentBlock& block, const Host& host) const;
  std::unique_ptr<PruningAxis> axis(ComponentBlock& block, const Host& host) const;
  Loss loss(ComponentBlock& block, const Host& host) const;
  std::unique_ptr<Scheduler> scheduler(ComponentBlock& block, const Host& host) const;

  // The plugin's own factory, nullptr when there is none of this name: what its instances throw arrives as it was
  // thrown. For judging a component; everything else goes through the methods above.
  template <class Interface>
  const Factory<Interface>* factory(const std::string& name) const;

 protected:
  void add_metric(const std::string& name, const std::string& doc,
                  std::unique_ptr<Factory<ImportanceMetric>> factory) override;
  void add_axis(const std::string& name, const std::string& doc,
                std::unique_ptr<Factory<PruningAxis>> factory) override;
  void add_logit_loss(const std::string& name, const std::string& doc,
                      std::unique_ptr<Factory<LogitLoss>> factory) override;
  void add_scheduler(const std::string& name, const std::string& doc,
                     std::unique_ptr<Factory<Scheduler>> factory) override;
  void add_feature_loss(const std::string& name, const std::string& doc,
                        std::unique_ptr<Factory<FeatureLoss>> factory) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace espalier
