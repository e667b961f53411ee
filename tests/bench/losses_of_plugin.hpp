// SPDX-License-Identifier: Apache-2.0
// Losses as the program gets them: out of the plugin library that the build made.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/plugin/loader.hpp"
#include "core/train/kd_head.hpp"
#include "espalier/sdk/host.hpp"

namespace espalier::bench {

class QuietHost final : public Host {
 public:
  std::uint64_t seed() const override { return 1; }
  void info(const std::string&) const override {}
  void warn(const std::string&) const override {}
};

// `registry` outlives the losses. ESPALIER_LOSSES is the library, from the build.
inline std::vector<WeightedLoss> make_losses(Registry& registry, const std::vector<std::string>& names) {
  static const QuietHost host;
  load_plugin(ESPALIER_LOSSES, registry);
  std::vector<WeightedLoss> losses;
  for (const std::string& name : names) {
    ComponentBlock block;
    block.kind = "loss";
    block.table = "distill";
    block.name = name;
    losses.push_back({name, 1.0, registry.loss(block, host).on_logits});
  }
  return losses;
}

}  // namespace espalier::bench
