// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "espalier/sdk/abi.hpp"

namespace espalier {
inline namespace abi_2 {

// What the host lends to a component. Outlives every component; safe to keep a reference to.
class ESPALIER_SDK_VISIBLE Host {
 public:
  Host() = default;
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  virtual ~Host() = default;

  // The recipe's seed. The only source of randomness a component may use.
  virtual std::uint64_t seed() const = 0;

  // Into the run's log, with the component's name in front.
  virtual void info(const std::string& text) const = 0;
  virtual void warn(const std::string& text) const = 0;
};

}  // namespace abi_2
}  // namespace espalier
