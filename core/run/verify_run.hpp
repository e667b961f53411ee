// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include "core/prune/verify.hpp"
#include "core/run/run.hpp"

namespace espalier {

// A few real windows for the comparison of states: calibration tokens, at most 4 × 128 of them.
at::Tensor verification_tokens(Run& run);

nlohmann::json report_to_json(const VerifyReport& report);

// `espalier verify RUN`: derives again what the run claims (digests, kept units from scores, counts, masked = sliced).
VerifyReport verify_run(Run& run);

}  // namespace espalier
