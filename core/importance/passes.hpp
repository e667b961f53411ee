// SPDX-License-Identifier: Apache-2.0
// The ways of collecting evidence. Each fills the sites whose metrics ask for it.
#pragma once

#include <vector>

#include "core/forward/model.hpp"
#include "core/importance/calibration.hpp"
#include "core/importance/score.hpp"
#include "core/importance/sites.hpp"

namespace espalier {

inline const at::Tensor kNoTensor;  // for the members of an Observation that a kind of evidence does not have

// Activations and block input/output: one walk over the calibration set for all of `sites`.
void observe_activations(WeightSource& weights, const std::vector<Sites*>& sites, const Calibration& calibration,
                         const ScoreOptions& options);

// Activations with the loss's gradient, and the same of each layer's input and output: there and back over the
// calibration set for all of `sites`. Holds the autograd graph of one layer and one micro-batch at a time.
void observe_gradients(WeightSource& weights, const std::vector<Sites*>& sites, const Calibration& calibration,
                       const ScoreOptions& options);

// Every weight that names an axis's dimensions, unit by unit; for an axis of layers, every weight of each layer.
void observe_weights(WeightSource& weights, const std::vector<Sites*>& sites);

// The calibration nll of the whole model and with each unit (a layer, a part of one, a run) skipped, and how far the
// predictions go apart. Logits exist for a chunk of rows of two variants at a time.
void observe_probes(WeightSource& weights, const std::vector<Sites*>& sites, const Calibration& calibration,
                    const ScoreOptions& options);

// The accuracy of the whole model and with each unit skipped, in the choice tasks that the sites ask for. Jobs with the
// same file and shots share the walks.
void observe_tasks(WeightSource& weights, const std::vector<Sites*>& sites, const ScoreOptions& options);

// Samples whose hidden states, `copies` times, fit into the tile: a multiple of the micro-batch.
std::int64_t tile_samples(const WeightSource& weights, const Calibration& calibration, const ScoreOptions& options,
                          std::int64_t copies);

// Micro-batches [first, first + count) of samples, on the weights' device.
std::vector<at::Tensor> batches_of(const WeightSource& weights, const Calibration& calibration,
                                   const ScoreOptions& options, std::int64_t first, std::int64_t count);

}  // namespace espalier
