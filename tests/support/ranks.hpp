// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/comm/comm.hpp"

// Of the program that all ranks run.
espalier::Comm& ranks();
