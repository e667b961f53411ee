// SPDX-License-Identifier: Apache-2.0
#include "core/train/event_log.hpp"

#include <cstring>
#include <map>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "core/base/progress.hpp"
#include "tests/core/train/tiny_run.hpp"

namespace {

using espalier::EventLog;
namespace fs = espalier::fs;
namespace reference = espalier::reference;

// CRC-32C bit by bit, from its polynomial (0x1EDC6F41, reflected).
std::uint32_t slow_crc(std::string_view bytes) {
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const char byte : bytes) {
    for (int bit = 0; bit < 8; ++bit) {
      const bool one = (((static_cast<std::uint8_t>(byte) >> bit) ^ crc) & 1U) != 0;
      crc = (crc >> 1) ^ (one ? 0x82F63B78U : 0U);
    }
  }
  return crc ^ 0xFFFFFFFFU;
}

std::uint32_t slow_mask(std::uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U; }

template <class T>
T number_at(std::string_view bytes, std::size_t offset) {
  REQUIRE(offset + sizeof(T) <= bytes.size());
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

std::vector<std::string> records_of(std::string_view file) {
  std::vector<std::string> records;
  while (!file.empty()) {
    const auto length = number_at<std::uint64_t>(file, 0);
    REQUIRE(number_at<std::uint32_t>(file, 8) == slow_mask(slow_crc(file.substr(0, 8))));
    const std::string_view payload = file.substr(12, length);
    REQUIRE(number_at<std::uint32_t>(file, 12 + length) == slow_mask(slow_crc(payload)));
    records.emplace_back(payload);
    file.remove_prefix(16 + length);
  }
  return records;
}

// One protocol buffer message: field number → raw values (varints as 8 bytes), in their order.
std::multimap<std::uint64_t, std::string> message(std::string_view bytes) {
  std::multimap<std::uint64_t, std::string> fields;
  const auto varint = [&] {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = number_at<std::uint8_t>(bytes, 0);
      bytes.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (!bytes.empty()) {
    const std::uint64_t key = varint();
    std::string value;
    if (key % 8 == 0) {
      const std::uint64_t whole = varint();
      value.assign(reinterpret_cast<const char*>(&whole), 8);
    } else {
      const std::uint64_t length = key % 8 == 1 ? 8 : key % 8 == 5 ? 4 : varint();
      REQUIRE((key % 8 == 1 || key % 8 == 2 || key % 8 == 5));
      REQUIRE(length <= bytes.size());
      value = bytes.substr(0, length);
      bytes.remove_prefix(length);
    }
    fields.emplace(key / 8, value);
  }
  return fields;
}

struct Event {
  double wall_time = 0.0;
  std::int64_t step = 0;
  std::string file_version;
  std::map<std::string, float> scalars;
};

Event event_of(const std::string& record) {
  Event event;
  for (const auto& [field, value] : message(record)) {
    if (field == 1) event.wall_time = number_at<double>(value, 0);
    if (field == 2) event.step = number_at<std::int64_t>(value, 0);
    if (field == 3) event.file_version = value;
    if (field != 5) continue;
    for (const auto& [one, scalar] : message(value)) {
      REQUIRE(one == 1);
      const auto parts = message(scalar);
      REQUIRE(parts.size() == 2);
      event.scalars[parts.find(1)->second] = number_at<float>(parts.find(2)->second, 0);
    }
  }
  return event;
}

std::vector<Event> events_in(const fs::path& folder) {
  std::vector<Event> events;
  std::int64_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    REQUIRE(entry.path().filename().string().find("tfevents") != std::string::npos);  // what TensorBoard looks for
    for (const std::string& record : records_of(reference::bytes_of(entry.path()))) events.push_back(event_of(record));
    ++files;
  }
  CHECK(files == 1);
  return events;
}

fs::path only_file(const fs::path& folder) { return fs::directory_iterator(folder)->path(); }

std::vector<std::int64_t> steps_in(const fs::path& folder) {
  std::vector<std::int64_t> steps;
  for (const Event& event : events_in(folder)) steps.push_back(event.step);
  return steps;
}

void write_steps(const fs::path& folder, std::int64_t after, std::int64_t last) {
  EventLog log(folder, after);
  for (std::int64_t step = after + 1; step <= last; ++step) log.add({{"step", step}, {"loss", 0.5 * double(step)}});
  log.sync();
}

}  // namespace

TEST_CASE("crc32c is Castagnoli's: the check value, RFC 3720's vectors and a slow form agree") {
  CHECK(espalier::crc32c("123456789") == 0xE3069283U);
  CHECK(espalier::crc32c("") == 0U);
  CHECK(espalier::crc32c(std::string(32, '\0')) == 0x8A9136AAU);
  CHECK(espalier::crc32c(std::string(32, '\xFF')) == 0x62A8AB43U);
  std::string text;
  for (int i = 0; i < 600; ++i) text.push_back(static_cast<char>(i * 37));
  CHECK(espalier::crc32c(text) == slow_crc(text));
}

TEST_CASE("a new file begins with its version; an event has the step and every number by its tag") {
  const reference::TemporaryFolder folder;
  const fs::path place = folder.path() / "tensorboard" / "distill";
  {
    EventLog log(place, 0);
    log.add({{"step", 3}, {"tokens", 4096}, {"loss", 0.1}, {"lr", 0.5}, {"name", "no number"}});
    log.add({{"step", 200000}, {"loss", 1e-30}, {"eval_nll", 2.5}});
  }
  const std::vector<Event> events = events_in(place);
  REQUIRE(events.size() == 3);
  CHECK(events[0].file_version == "brain.Event:2");
  CHECK(events[0].scalars.empty());
  CHECK(events[1].step == 3);
  CHECK(events[1].scalars ==
        std::map<std::string, float>{{"train/tokens", 4096.0F}, {"train/loss", 0.1F}, {"train/learning_rate", 0.5F}});
  CHECK(events[2].step == 200000);
  CHECK(events[2].scalars == std::map<std::string, float>{{"train/loss", 1e-30F}, {"eval/loss", 2.5F}});
  CHECK(events[1].wall_time > 1.7e9);  // seconds since 1970
  CHECK(events[2].wall_time >= events[1].wall_time);
}

TEST_CASE("events are cut back to the step that a run goes on from, whatever is behind it") {
  const reference::TemporaryFolder folder;
  write_steps(folder.path(), 0, 5);
  const std::string whole = reference::bytes_of(only_file(folder.path()));
  SUBCASE("nothing is later: the file stays as it is, and goes on") {
    write_steps(folder.path(), 5, 6);
    CHECK(reference::bytes_of(only_file(folder.path())).starts_with(whole));
    CHECK(steps_in(folder.path()) == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6});
  }
  SUBCASE("later steps go") {
    write_steps(folder.path(), 2, 4);
    CHECK(steps_in(folder.path()) == std::vector<std::int64_t>{0, 1, 2, 3, 4});
  }
  SUBCASE("a start from nothing leaves the version alone") {
    { const EventLog log(folder.path(), 0); }
    CHECK(steps_in(folder.path()) == std::vector<std::int64_t>{0});
  }
  SUBCASE("a record that is torn anywhere goes, the ones before it stay") {
    for (std::size_t cut = 1; cut <= whole.size(); cut += 11) {
      espalier::write_text(only_file(folder.path()), whole.substr(0, cut));
      { const EventLog log(folder.path(), 5); }
      const std::vector<std::int64_t> steps = steps_in(folder.path());
      CHECK(steps.front() == 0);
      if (cut < whole.size()) CHECK(steps.size() < 6);
    }
  }
  SUBCASE("a damaged record ends what is kept") {
    std::string damaged = whole;
    damaged[whole.size() - 6] ^= 1;
    espalier::write_text(only_file(folder.path()), damaged);
    write_steps(folder.path(), 5, 6);
    CHECK(steps_in(folder.path()) == std::vector<std::int64_t>{0, 1, 2, 3, 4, 6});
  }
  SUBCASE("a length beyond the file is no length") {
    espalier::write_text(only_file(folder.path()), whole + espalier::event_record("x").substr(0, 12));
    { const EventLog log(folder.path(), 5); }
    CHECK(reference::bytes_of(only_file(folder.path())) == whole);
  }
}

TEST_CASE("training writes each metrics line as an event, and after a stop the same ones") {
  const reference::TemporaryFolder folder;
  espalier::ProgressBar::disable();
  struct Stop {};
  const auto run = [&](const char* name, std::int64_t stop_at) {
    reference::TinyRun tiny(folder.path() / name, 7);
    tiny.job.events = folder.path() / name / "tensorboard";
    tiny.job.plan.save_every = 3;
    tiny.job.on_step = [&](std::int64_t step) {
      if (step == stop_at) throw Stop();
    };
    train(tiny.job);
  };
  run("whole", 0);
  CHECK_THROWS_AS(run("stopped", 5), Stop);
  run("stopped", 0);
  const std::vector<Event> events = events_in(folder.path() / "whole" / "tensorboard"),
                           again = events_in(folder.path() / "stopped" / "tensorboard");
  const auto lines = reference::lines_of(folder.path() / "whole" / "metrics.jsonl");
  REQUIRE(events.size() == lines.size() + 1);
  REQUIRE(again.size() == events.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    CHECK(events[i + 1].step == lines[i]["step"].get<std::int64_t>());
    CHECK(again[i + 1].step == events[i + 1].step);
    CHECK(events[i + 1].scalars.size() == lines[i].size() - 1);
    for (const auto& [tag, value] : events[i + 1].scalars) {
      CAPTURE(tag);
      REQUIRE(tag.starts_with("train/"));
      const std::string name = tag == "train/learning_rate" ? "lr" : tag.substr(6);
      CHECK(value == lines[i].at(name).get<float>());
      if (name != "tokens_per_s" && name != "seconds" && name != "peak_rss") {
        CHECK(again[i + 1].scalars.at(tag) == value);
      }
    }
  }
}
