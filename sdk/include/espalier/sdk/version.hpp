// SPDX-License-Identifier: Apache-2.0
// The version of the project. CMake reads it from here; nothing else states it.
#pragma once

#define ESPALIER_VERSION_MAJOR 0
#define ESPALIER_VERSION_MINOR 1
#define ESPALIER_VERSION_PATCH 0

#define ESPALIER_STRINGIFY_(x) #x
#define ESPALIER_STRINGIFY(x) ESPALIER_STRINGIFY_(x)
#define ESPALIER_VERSION                     \
  ESPALIER_STRINGIFY(ESPALIER_VERSION_MAJOR) \
  "." ESPALIER_STRINGIFY(ESPALIER_VERSION_MINOR) "." ESPALIER_STRINGIFY(ESPALIER_VERSION_PATCH)
