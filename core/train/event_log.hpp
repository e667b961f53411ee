// SPDX-License-Identifier: Apache-2.0
// TensorBoard's events: what metrics.jsonl holds, as a file that TensorBoard reads. Records and protocol buffers are
// written by hand, which takes less than the libraries that would do it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "core/train/append_file.hpp"

namespace espalier {

// CRC-32C (Castagnoli), reflected, as iSCSI has it.
std::uint32_t crc32c(std::string_view bytes);

// A record: length (u64), masked CRC of these 8 bytes (u32), payload, masked CRC of the payload (u32), little-endian.
std::string event_record(std::string_view payload);

class EventLog {
 public:
  // Opens the one file in `folder` to go on after `step`: what lies behind the first event of a later step (of a run
  // that was cut off), or behind the first damaged record, is removed.
  EventLog(const fs::path& folder, std::int64_t step);

  // One event: every number of the line as a scalar (float32) at the line's "step". Tags are those of Hugging Face's
  // Trainer: train/loss, train/<loss term>, train/learning_rate, train/grad_norm, eval/loss, ….
  void add(const nlohmann::ordered_json& line);

  void sync() { file_.sync(); }

 private:
  AppendFile file_;
};

}  // namespace espalier
