// SPDX-License-Identifier: Apache-2.0
// A sweep's folder: sweep.json in, comparison.json and report.html out.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "core/report/runs.hpp"

namespace espalier {

struct SweepFiles {
  fs::path root;
  fs::path sweep() const { return root / "sweep.json"; }
  fs::path comparison() const { return root / "comparison.json"; }
  fs::path page() const { return root / "report.html"; }
  fs::path speed() const { return root / "speed.json"; }
};

bool is_sweep(const fs::path& folder);

// sweep.json; Error when it is damaged or of another schema.
nlohmann::json read_sweep(const fs::path& folder);

// Its runs with their arms, seeds, teachers and states.
std::vector<RunRef> runs_of_sweep(const fs::path& folder);

// What a sweep and `espalier compare SWEEP` write.
void write_comparison(const fs::path& sweep, const nlohmann::json& comparison);

// report.html.
void write_page(const fs::path& path, const nlohmann::json& comparison);

}  // namespace espalier
