// SPDX-License-Identifier: Apache-2.0
#include "core/plugin/registry.hpp"

#include <algorithm>
#include <map>
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
  Kind<LogitLoss> losses{"loss", {}};
  Kind<Scheduler> schedulers{"scheduler", {}};

  // Calls `use(kind)` with the typed registry of this name.
  template <class Use>
  auto with_kind(const std::string& name, Use&& use) const {
    if (name == metrics.name) return use(metrics);
    if (name == axes.name) return use(axes);
    if (name == losses.name) return use(losses);
    ESPALIER_CHECK(name == schedulers.name, "a component block of kind ", name);
    return use(schedulers);
  }

  template <class Interface>
  void add(Kind<Interface>& kind, const std::string& name, const std::string& doc,
           std::unique_ptr<Factory<Interface>> factory) {
    ESPALIER_CHECK(!plugins.empty(), "components come from a plugin");
    const auto known = kind.entries.find(name);
    if (known != kind.entries.end()) {
      const PluginInfo& first = plugins[known->second.plugin];
      const PluginInfo& second = plugins.back();
      fail("{} '{}' is registered twice; by plugin {} {} ({}) and by plugin {} {} ({})", kind.name, name, first.name,
           first.version, first.path, second.name, second.version, second.path);
    }
    kind.entries[name] = {doc, plugins.size() - 1, std::move(factory)};
  }

  template <class Interface>
  std::string unknown_name(const Kind<Interface>& kind, const std::string& name) const {
    std::vector<std::string> names;
    for (const auto& [known, entry] : kind.entries) names.push_back(known);
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
  const auto drop = [last](auto& kind) {
    std::erase_if(kind.entries, [last](const auto& item) { return item.second.plugin == last; });
  };
  drop(state_->metrics);
  drop(state_->axes);
  drop(state_->losses);
  drop(state_->schedulers);
  state_->plugins.pop_back();
}

std::vector<ComponentInfo> Registry::components() const {
  std::vector<ComponentInfo> list;
  const auto append = [&](const auto& kind) {
    for (const auto& [name, entry] : kind.entries) list.push_back(state_->info(kind, name, entry));
  };
  append(state_->axes);
  append(state_->losses);
  append(state_->metrics);
  append(state_->schedulers);
  return list;
}

std::vector<PluginInfo> Registry::plugins() const { return state_->plugins; }

ComponentInfo Registry::describe(const ComponentBlock& block) const {
  return state_->with_kind(block.kind, [&](const auto& kind) {
    Diagnostics problems;
    const auto* entry = state_->find(kind, block, problems);
    problems.throw_if_any();
    return state_->info(kind, block.name, *entry);
  });
}

std::optional<AxisInfo> Registry::axis_info(const std::string& name) const { return state_->axis_info(name); }

void Registry::check(ComponentBlock& block, Diagnostics& diagnostics) const {
  state_->with_kind(block.kind, [&](const auto& kind) {
    if (const auto* entry = state_->find(kind, block, diagnostics)) state_->check(kind, *entry, block, diagnostics);
  });
}

std::unique_ptr<ImportanceMetric> Registry::metric(ComponentBlock& block, const Host& host) const {
  return state_->create(state_->metrics, block, host);
}
std::unique_ptr<PruningAxis> Registry::axis(ComponentBlock& block, const Host& host) const {
  return state_->create(state_->axes, block, host);
}
std::unique_ptr<LogitLoss> Registry::logit_loss(ComponentBlock& block, const Host& host) const {
  return state_->create(state_->losses, block, host);
}
std::unique_ptr<Scheduler> Registry::scheduler(ComponentBlock& block, const Host& host) const {
  return state_->create(state_->schedulers, block, host);
}

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
  state_->add(state_->losses, name, doc, std::move(factory));
}
void Registry::add_scheduler(const std::string& name, const std::string& doc,
                             std::unique_ptr<Factory<Scheduler>> factory) {
  state_->add(state_->schedulers, name, doc, std::move(factory));
}

}  // namespace espalier
