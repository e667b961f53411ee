// SPDX-License-Identifier: Apache-2.0
// The metric laboratory: do metrics agree on which units matter, would they keep the same ones, and how many samples
// does each need? From score files and plans that runs have left; nothing is scored anew.
//
// What is compared
// - Two metrics: at the same calibration (samples, their length, data, seed), on the same axis of the same teacher; a
//   metric that looks at no data is compared under every calibration with its seed. Of several calibrations those
//   with most samples count, averaged over seeds. Correlations (rank_statistics.hpp) are taken in each layer, then
//   averaged over layers that have one.
// - Kept sets: what the run's plan keeps where its choice follows from that file, else the top units at the counts of
//   the run, layer by layer. (An axis that chooses within groups or across layers may choose otherwise than the top.)
//   Averaged over layers in which something is kept and something goes. chance: two random choices (chance_overlap).
// - Samples: one metric's file at each number of samples against that of the largest number, of the same seed where
//   there is one. The windows of a seed are nested, so that such pairs share data and agree more than new data would:
//   `between_seeds`, pairs of different seeds at equal samples, is the independent view.
// - samples_needed: the smallest number of samples at which `share` with the largest is 0.95 or more, linear in the
//   logarithm of samples between two measured numbers; null when no smaller number than the largest reaches it. When
//   the smallest measured number does already, it is that one: an upper bound.
//
// Its JSON, `metric_lab` of comparison.json (null when no run has scores; a number that does not exist is null):
//   {"schema": 1, "threshold": 0.95, "axes": [{
//     "axis": "ffn", "teacher": digest, "runs": [names], "shared": bool, "layers": bool,    // layers: its units are
//     layers "metrics": [{"label": "activation (seq=l2)", "metric": "activation", "options": {…} or text}], "targets":
//     [{"keep": [units kept of each layer], "of": [units], "runs": [names], "chance": {"share", "jaccard"}}], "pairs":
//     [{"a": 0, "b": 1, "samples": 1024 | null, "calibrations": 3, "spearman": 0.81, "kendall": 0.63,
//                "layers": [spearman of each layer], "overlap": [{"share", "jaccard"} | null for each target]}],
//     "stability": [{"metric": 0, "seq_length": 128, "largest": 1024, "target": 0 | null, "samples_needed": 90.5 |
//     null,
//                    "points": [{"samples": 16, "files": 3, "spearman": 0.9, "share": 0.85, "jaccard": 0.74,
//                                "between_seeds": {"pairs": 3, "spearman", "share", "jaccard"} | null}]}],
//     "maps": [{"metric": 0, "samples": 1024 | null, "mean": [mean score of each layer], "normalised": [0 to 1]}]}]}
// a, b and metric are places in `metrics`, target one in `targets`; a < b. `points` ascend by samples, the largest
// included (its own row compares the largest with itself: 1). `maps`: axes of layers and those with scores by layer;
// normalised: (mean - smallest) / (largest - smallest), null where all are equal.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "core/report/lab_files.hpp"

namespace espalier {

// Deterministic. Throws Error when a file of a run is damaged.
nlohmann::json metric_lab(const std::vector<LabRun>& runs);

}  // namespace espalier
