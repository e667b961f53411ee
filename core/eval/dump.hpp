// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/checkpoint/safetensors.hpp"

namespace espalier {

// `eval --dump`: nll float32 (windows, seq-1), last_logits float32 (windows, vocab). The logits are written as they
// come; the losses wait in memory.
class EvalDump {
 public:
  EvalDump(const fs::path& path, std::int64_t windows, std::int64_t predicted, std::int64_t vocab);
  void add(const at::Tensor& nll, const at::Tensor& last_logits);
  void commit();

 private:
  SafetensorsWriter writer_;
  std::vector<at::Tensor> nll_;
};

}  // namespace espalier
