// SPDX-License-Identifier: Apache-2.0
// Everything a plugin author needs. (Inside the repository include the single headers.)
#pragma once

#include "espalier/sdk/axis.hpp"
#include "espalier/sdk/feature_loss.hpp"
#include "espalier/sdk/loss.hpp"
#include "espalier/sdk/metric.hpp"
#include "espalier/sdk/options.hpp"
#include "espalier/sdk/plugin.hpp"
#include "espalier/sdk/scheduler.hpp"
