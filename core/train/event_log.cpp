// SPDX-License-Identifier: Apache-2.0
#include "core/train/event_log.hpp"

#include <array>
#include <bit>
#include <chrono>
#include <cstring>
#include <optional>

#include <nlohmann/json.hpp>

namespace espalier {
namespace {

// TensorBoard takes every file whose name holds "tfevents". The name says nothing of time, host or process: a run that
// goes on goes on in the same file.
constexpr const char* kFileName = "events.out.tfevents.espalier";

// Field numbers of tensorflow/core/util/event.proto and framework/summary.proto.
enum class EventField : std::uint8_t { wall_time = 1, step = 2, file_version = 3, summary = 5 };
enum class SummaryField : std::uint8_t { value = 1 };
enum class ValueField : std::uint8_t { tag = 1, simple_value = 2 };

constexpr std::array<std::uint32_t, 256> crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82F63B78U : 0U);
    table[byte] = value;
  }
  return table;
}

// A CRC of data that holds its own CRC would be a constant: TFRecord files store them turned and shifted.
std::uint32_t masked(std::uint32_t crc) { return std::rotr(crc, 15) + 0xA282EAD8U; }

template <class T>
void put(std::string& out, T value) {
  static_assert(std::endian::native == std::endian::little);
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

template <class T>
T get(std::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

// Protocol buffers: a key (field number and wire type), then the value.
enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}
template <class Field>
void put_key(std::string& out, Field field, Wire wire) {
  put_varint(out, static_cast<std::uint64_t>(field) << 3 | static_cast<std::uint64_t>(wire));
}
template <class Field>
void put_bytes(std::string& out, Field field, std::string_view bytes) {
  put_key(out, field, Wire::bytes);
  put_varint(out, bytes.size());
  out.append(bytes);
}

// Tags as Hugging Face's Trainer has them, so that runs of both lie in the same charts.
std::string tag_of(const std::string& key) {
  if (key == "lr") return "train/learning_rate";
  if (key == "eval_nll") return "eval/loss";
  return "train/" + key;
}

std::string event_begin() {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  std::string event;
  put_key(event, EventField::wall_time, Wire::fixed64);
  put(event, now.count());
  return event;
}

// The payload of the record at the front of `rest`, which then begins behind it; nothing when it is torn or damaged.
std::optional<std::string_view> take_record(std::string_view& rest) {
  constexpr std::size_t kHead = 12, kFoot = 4;
  if (rest.size() < kHead || get<std::uint32_t>(rest.substr(8)) != masked(crc32c(rest.substr(0, 8)))) return {};
  const auto length = get<std::uint64_t>(rest);
  if (rest.size() - kHead < kFoot || length > rest.size() - kHead - kFoot) return {};
  const std::string_view payload = rest.substr(kHead, length);
  if (get<std::uint32_t>(rest.substr(kHead + length)) != masked(crc32c(payload))) return {};
  rest.remove_prefix(kHead + length + kFoot);
  return payload;
}

// The step of an event as this file writes them: wall_time (9 bytes), then the step, if there is one.
std::int64_t step_of(std::string_view event) {
  constexpr std::size_t kWallTime = 9;
  if (event.size() <= kWallTime || event[kWallTime] != (static_cast<int>(EventField::step) << 3)) return 0;
  std::uint64_t step = 0;
  for (std::size_t i = kWallTime + 1, shift = 0; i < event.size() && shift < 64; ++i, shift += 7) {
    step |= static_cast<std::uint64_t>(event[i] & 0x7F) << shift;
    if ((event[i] & 0x80) == 0) break;
  }
  return static_cast<std::int64_t>(step);
}

// The part of a file that belongs to the steps up to `last_step`; a new file's first record when nothing does.
std::string kept_records(const std::string& file, std::int64_t last_step) {
  std::string_view rest = file;
  std::size_t kept = 0;
  for (auto event = take_record(rest); event && step_of(*event) <= last_step; event = take_record(rest)) {
    kept = file.size() - rest.size();
  }
  if (kept > 0) return file.substr(0, kept);
  std::string first = event_begin();
  put_bytes(first, EventField::file_version, "brain.Event:2");
  return event_record(first);
}

fs::path prepared_events(const fs::path& folder, std::int64_t last_step) {
  fs::create_directories(folder);
  const fs::path path = folder / kFileName;
  const std::string old = fs::exists(path) ? read_text(path) : "";
  const std::string kept = kept_records(old, last_step);
  if (kept != old) write_text(path, kept);
  return path;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<std::uint32_t, 256> kTable = crc_table();
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const char byte : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<std::uint8_t>(byte)) & 0xFFU];
  return ~crc;
}

std::string event_record(std::string_view payload) {
  std::string record;
  put(record, static_cast<std::uint64_t>(payload.size()));
  put(record, masked(crc32c(record)));
  record.append(payload);
  put(record, masked(crc32c(payload)));
  return record;
}

EventLog::EventLog(const fs::path& folder, std::int64_t step) : file_(prepared_events(folder, step)) {}

void EventLog::add(const nlohmann::ordered_json& line) {
  std::string summary;
  for (const auto& [key, number] : line.items()) {
    if (key == "step" || !number.is_number()) continue;
    std::string value;
    put_bytes(value, ValueField::tag, tag_of(key));
    put_key(value, ValueField::simple_value, Wire::fixed32);
    put(value, number.get<float>());
    put_bytes(summary, SummaryField::value, value);
  }
  std::string event = event_begin();
  put_key(event, EventField::step, Wire::varint);
  put_varint(event, line.at("step").get<std::uint64_t>());
  put_bytes(event, EventField::summary, summary);
  file_.append(event_record(event));
}

}  // namespace espalier
