// SPDX-License-Identifier: Apache-2.0
// One command on all processes that a launcher has started.
#pragma once

#include <functional>
#include <string>

#include "core/comm/comm.hpp"
#include "core/forward/model.hpp"

namespace espalier {

// Opens the device, on a GPU the one that is this rank's, joins the other ranks and does the work with them. What is
// thrown on one rank ends all: it is said once, with its rank, and the process ends here. Alone: just the work.
int on_all_ranks(const std::string& device, const std::function<int(Compute, Comm&)>& work);

}  // namespace espalier
