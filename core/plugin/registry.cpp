// SPDX-License-Identifier: Apache-2.0
#include "core/plugin/registry.hpp"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "core/base/strings.hpp"
#include "core/plugin/guarded.hpp"

namespace espalier {
namespace {

// For instances that are only asked what they are.
class SilentHost final : public Host {
 public:
  std::uint64_t seed() const override { return 0; }
  void info(const std::string&) const override {}
  void warn(const std::string&) const override {}
};

// Sends a block's problems to `diagnostics` while it lives.
class Attached {
 public:
  Attached(ComponentBlock& block, Diagnostics& diagnostics) : block_(block), before_(block.diagnostics) {
    block.diagnostics = &diagnostics;
  }
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;
  ~Attached() { block_.diagnostics = before_; }

 private:
  ComponentBlock& block_;
  Diagnostics* before_;
};

std::string from_plugin(const std::string& kind, const std::string& name, const PluginInfo& plugin) {
  return fmt::format("in {} '{}' (plugin {} {})", kind, name, plugin.name, plugin.version);
}

}  // namespace

struct Registry::State {
  template <class Interface>
  struct Entry {
    std::string doc;
    std::size_t plugin = 0;
    std::unique_ptr<Factory<Interface>> factory;
  };
  template <class Interface>
  struct Kind {
    std::string name;  // as messages say it
    std::map<std::string, Entry<Interface>> entries;
  };

  std::vector<PluginInfo> plugins;
  Kind<ImportanceMetric> metrics{"metric", {}};
  Kind<PruningAxis> axes{"axis", {}};
  Kind<LogitLoss> logit_losses{"loss", {}};  // to users one kind, with names of their own
  Kind<FeatureLoss> feature_losses{"loss", {}};
  Kind<Scheduler> schedulers{"scheduler", {}};

  template <class Use>
  static void each_kind(auto& state, Use&& use) {
    use(state.axes);
    use(state.logit_losses);
    use(state.feature_losses);
    use(state.metrics);
    use(state.schedulers);
  }

  // Calls `use(kind)` with the typed registry that a block speaks of.
  template <class Use>
  auto with_kind(const ComponentBlock& block, Use&& use) const {
    if (block.kind == metrics.name) return use(metrics);
    if (block.kind == axes.name) return use(axes);
    if (block.kind == feature_losses.name && feature_losses.entries.contains(block.name)) return use(feature_losses);
    if (block.kind == logit_losses.name) return use(logit_losses);
    ESPALIER_CHECK(block.kind == schedulers.name, "a component block of kind ", block.kind);
    return use(schedulers);
  }

  // Names of a kind, sorted, with the index of the plugin of each.
  std::map<std::string, std::size_t> names_of(const std::string& kind_name) const {
    std::map<std::string, std::size_t> names;
    each_kind(*this, [&](const auto& kind) {
      if (kind.name != kind_name) return;
      for (const auto& [name, entry] : kind.entries) names[name] = entry.plugin;
    });
    return names;
  }

  template <class Interface>
  void add(Kind<Interface>& kind, const std::string& name, const std::string& doc,
           std::unique_ptr<Factory<Interface>> factory) {
    ESPALIER_CHECK(!plugins.empty(), "components come from a plugin");
    const std::map<std::string, std::size_t> known = names_of(kind.name);
    if (known.contains(name)) {
      const PluginInfo& first = plugins[known.at(name)];
      const PluginInfo& second = plugins.back();
      fail("{} '{}' is registered twice; by plugin {} {} ({}) and by plugin {} {} ({})", kind.name, name, first.name,
           first.version, first.path, second.name, second.version, second.path);
    }
    kind.entries[name] = {doc, plugins.size() - 1, std::move(factory)};
  }

  template <class Interface>
  std::string unknown_name(const Kind<Interface>& kind, const std::string& name) const {
    std::vector<std::string> names;
    for (const auto& [known, plugin] : names_of(kind.name)) names.push_back(known);
    if (names.empty()) return fmt::format("a plugin that provides one; {} are loaded", plugins.size());
    if constexpr (std::is_same_v<Interface, PruningAxis>) {
      const std::string ours = our_axis(name);
      if (!ours.empty()) return ours;
    }
    return any_of(names) + did_you_mean(name, names);
  }

  // Somebody typed Hugging Face's or Megatron's name of an axis.
  std::string our_axis(const std::string& foreign) const {
    for (const auto& [name, entry] : axes.entries) {
      const std::optional<AxisInfo> info = axis_info(name);
      if (!info) continue;
      if (info->hugging_face_name == foreign) return fmt::format("'{}' (Hugging Face calls it {})", name, foreign);
      if (info->megatron_name == foreign) return fmt::format("'{}' (Megatron calls it {})", name, foreign);
    }
    return "";
  }

  std::optional<AxisInfo> axis_info(const std::string& name) const {
    const auto entry = axes.entries.find(name);
    if (entry == axes.entries.end()) return std::nullopt;
    ComponentBlock block;
    block.kind = axes.name;
    block.name = name;
    try {
      return entry->second.factory->create(block, SilentHost())->describe();
    } catch (const std::exception&) {
      return std::nullopt;  // an axis that cannot be made from its defaults has no names to offer
    }
  }

  template <class Interface>
  ComponentInfo info(const Kind<Interface>& kind, const std::string& name, const Entry<Interface>& entry) const {
    const PluginInfo& plugin = plugins[entry.plugin];
    return {kind.name, name, entry.doc, plugin,
            in_plugin(from_plugin(kind.name, name, plugin), [&] { return entry.factory->fields(); })};
  }

  // True when the block's name is known; else the problem is reported.
  template <class Interface>
  const Entry<Interface>* find(const Kind<Interface>& kind, const ComponentBlock& block,
                               Diagnostics& diagnostics) const {
    const auto entry = kind.entries.find(block.name);
    if (entry != kind.entries.end()) return &entry->second;
    diagnostics.error(block.where, block.table, "unknown " + kind.name, "'" + block.name + "'",
                      unknown_name(kind, block.name));
    return nullptr;
  }

  template <class Interface>
  void check(const Kind<Interface>& kind, const Entry<Interface>& entry, ComponentBlock& block,
             Diagnostics& diagnostics) const {
    const std::size_t before = diagnostics.size();
    const ComponentInfo component = info(kind, block.name, entry);
    std::vector<std::string> keys;
    for (const FieldInfo& field : component.fields) keys.push_back(field.name);
    std::vector<std::string> candidates = keys;
    candidates.insert(candidates.end(), block.host_keys.begin(), block.host_keys.end());
    for (const auto& [key, option] : block.options) {
      if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
      diagnostics.error(option.where, block.table, fmt::format("unknown option of {} '{}'", kind.name, block.name),
                        "'" + key + "'",
                        (keys.empty() ? "no options" : plain_any_of(keys)) + did_you_mean(key, candidates));
    }
    const Attached attached(block, diagnostics);
    in_plugin(from_plugin(kind.name, block.name, component.plugin), [&] { entry.factory->check(block); });
    if (diagnostics.size() == before) return;
    diagnostics.note(fmt::format("{} '{}' comes from plugin {} {} ({})", kind.name, block.name, component.plugin.name,
                                 component.plugin.version, component.plugin.path));
  }

  template <class Interface>
  std::unique_ptr<Interface> create(const Kind<Interface>& kind, ComponentBlock& block, const Host& host) const {
    Diagnostics problems;
    const Entry<Interface>* entry = find(kind, block, problems);
    if (entry) check(kind, *entry, block, problems);
    problems.throw_if_any();
    const std::string context = from_plugin(kind.name, block.name, plugins[entry->plugin]);
    std::unique_ptr<Interface> made = in_plugin(context, [&] { return entry->factory->create(block, host); });
    if (!made) fail("{}: made no instance", context);
    return guard(std::move(made), context);
  }
};

Registry::Registry() : state_(std::make_unique<State>()) {}
Registry::~Registry() = default;

void Registry::begin_plugin(const PluginInfo& plugin) { state_->plugins.push_back(plugin); }

void Registry::cancel_plugin() {
  const std::size_t last = state_->plugins.size() - 1;
  State::each_kind(*state_, [last](auto& kind) {
    std::erase_if(kind.entries, [last](const auto& item) { return item.second.plugin == last; });
  });
  state_->plugins.pop_back();
}

std::vector<ComponentInfo> Registry::components() const {
  std::vector<ComponentInfo> list;
  State::each_kind(*state_, [&](const auto& kind) {
    for (const auto& [name, entry] : kind.entries) list.push_back(state_->info(kind, name, entry));
  });
  std::sort(list.begin(), list.end(),
            [](const auto& a, const auto& b) { return std::tie(a.kind, a.name) < std::tie(b.kind, b.name); });
  return list;
}

std::vector<PluginInfo> Registry::plugins() const { return state_->plugins; }

ComponentInfo Registry::describe(const ComponentBlock& block) const {
  return state_->with_kind(block, [&](const auto& kind) {
    Diagnostics problems;
    const auto* entry = state_->find(kind, block, problems);
    problems.throw_if_any();
    return state_->info(kind, block.name, *entry);
  });
}

bool Registry::is_feature_loss(const ComponentBlock& block) const {
  return block.kind == state_->feature_losses.name && state_->feature_losses.entries.contains(block.name);
}

std::optional<AxisInfo> Registry::axis_info(const std::string& name) const { return state_->axis_info(name); }

void Registry::check(ComponentBlock& block, Diagnostics& diagnostics) const {
  state_->with_kind(block, [&](const auto& kind) {
    if (const auto* entry = state_->find(kind, block, diagnostics)) state_->check(kind, *entry, block, diagnostics);
  });
}

std::unique_ptr<ImportanceMetric> Registry::metric(ComponentBlock& block, const Host& host) const {
  return state_->create(state_->metrics, block, host);
}
std::unique_ptr<PruningAxis> Registry::axis(ComponentBlock& block, const Host& host) const {
  return state_->create(state_->axes, block, host);
}
Loss Registry::loss(ComponentBlock& block, const Host& host) const {
  if (state_->feature_losses.entries.contains(block.name)) {
    return {nullptr, state_->create(state_->feature_losses, block, host)};
  }
  return {state_->create(state_->logit_losses, block, host), nullptr};
}
std::unique_ptr<Scheduler> Registry::scheduler(ComponentBlock& block, const Host& host) const {
  return state_->create(state_->schedulers, block, host);
}

template <class Interface>
const Factory<Interface>* Registry::factory(const std::string& name) const {
  const Factory<Interface>* found = nullptr;
  State::each_kind(*state_, [&](const auto& kind) {
    if constexpr (std::is_same_v<decltype(kind), const State::Kind<Interface>&>) {
      const auto entry = kind.entries.find(name);
      if (entry != kind.entries.end()) found = entry->second.factory.get();
    }
  });
  return found;
}

template const Factory<ImportanceMetric>* Registry::factory(const std::string& name) const;
template const Factory<PruningAxis>* Registry::factory(const std::string& name) const;
template const Factory<LogitLoss>* Registry::factory(const std::string& name) const;
template const Factory<FeatureLoss>* Registry::factory(const std::string& name) const;
template const Factory<Scheduler>* Registry::factory(const std::string& name) const;

void Registry::add_metric(const std::string& name, const std::string& doc,
                          std::unique_ptr<Factory<ImportanceMetric>> factory) {
  state_->add(state_->metrics, name, doc, std::move(factory));
}
void Registry::add_axis(const std::string& name, const std::string& doc,
                        std::unique_ptr<Factory<PruningAxis>> factory) {
  state_->add(state_->axes, name, doc, std::move(factory));
}
void Registry::add_logit_loss(const std::string& name, const std::string& doc,
                              std::unique_ptr<Factory<LogitLoss>> factory) {
  state_->add(state_->logit_losses, name, doc, std::move(factory));
}
void Registry::add_scheduler(const std::string& name, const std::string& doc,
                             std::unique_ptr<Factory<Scheduler>> factory) {
  state_->add(state_->schedulers, name, doc, std::move(factory));
}
void Registry::add_feature_loss(const std::string& name, const std::string& doc,
                                std::unique_ptr<Factory<FeatureLoss>> factory) {
  state_->add(state_->feature_losses, name, doc, std::move(factory));
}

}  // namespace espalier
