// SPDX-License-Identifier: Apache-2.0
// First contact between host and plugin: plain data, no STL, no torch.
//
// A plugin exports one symbol, `espalier_plugin`, in an ELF section whose NAME is the build stamp.
// The host reads section names from the file before it lets any code of the library run, so a plugin
// built for another host is refused instead of crashing. (A section's name survives `strip`; a symbol's does not.)
#pragma once

#include <cstdint>

#include <torch/headeronly/version.h>  // TORCH_VERSION_MAJOR and friends

#include "espalier/sdk/version.hpp"

// Raised whenever an interface, an options type or an error type of the SDK changes its layout or meaning.
#define ESPALIER_ABI 2

#define ESPALIER_SDK_VISIBLE __attribute__((visibility("default")))

#if defined(__clang__)
#define ESPALIER_COMPILER "clang" ESPALIER_STRINGIFY(__clang_major__)
#elif defined(__GNUC__)
#define ESPALIER_COMPILER "gcc" ESPALIER_STRINGIFY(__GNUC__)
#else
#define ESPALIER_COMPILER "unknown"
#endif

// The toolkit that compiled the plugin's own kernels; "none" for a plugin without any.
#ifndef ESPALIER_PLUGIN_CUDA
#define ESPALIER_PLUGIN_CUDA "none"
#endif

#define ESPALIER_TORCH_VERSION            \
  ESPALIER_STRINGIFY(TORCH_VERSION_MAJOR) \
  "." ESPALIER_STRINGIFY(TORCH_VERSION_MINOR) "." ESPALIER_STRINGIFY(TORCH_VERSION_PATCH)

#define ESPALIER_STAMP_PREFIX "espalier:"
#define ESPALIER_STAMP                                                                              \
  ESPALIER_STAMP_PREFIX                                                                             \
  "abi=" ESPALIER_STRINGIFY(ESPALIER_ABI) ":torch=" ESPALIER_TORCH_VERSION ":cc=" ESPALIER_COMPILER \
                                          ":cxx11abi=" ESPALIER_STRINGIFY(                          \
                                              _GLIBCXX_USE_CXX11_ABI) ":cuda=" ESPALIER_PLUGIN_CUDA

namespace espalier {

inline constexpr std::uint32_t kAbi = ESPALIER_ABI;
inline constexpr std::uint32_t kPluginMagic = 0x45535041;  // "ESPA"

inline namespace abi_2 {
class Registrar;
}

// The first three fields never move; new fields go to the end.
struct PluginDescriptor {
  std::uint32_t magic;
  std::uint32_t size;  // sizeof(PluginDescriptor) of the plugin's SDK
  std::uint32_t abi;
  const char* stamp;
  const char* name;
  const char* version;
  void (*register_components)(Registrar&);  // may throw espalier::Error; the host names the plugin
};

}  // namespace espalier
