// SPDX-License-Identifier: Apache-2.0
#include "core/train/metrics_log.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/core/train/tiny_run.hpp"

using espalier::MetricsLog;
namespace fs = espalier::fs;
namespace reference = espalier::reference;

TEST_CASE("metrics are cut back to the step that a run goes on from, and a torn last line is dropped") {
  const reference::TemporaryFolder folder;
  const fs::path path = folder.path() / "metrics.jsonl";
  {
    MetricsLog log(path, 0);
    for (int step = 1; step <= 4; ++step) log.add({{"step", step}, {"loss", 0.5 * step}});
  }
  espalier::write_text(path, reference::bytes_of(path) + "{\"step\":5,\"lo");
  {
    MetricsLog log(path, 2);
    log.add({{"step", 3}, {"loss", 9.0}});
    log.sync();
  }
  CHECK(reference::bytes_of(path) ==
        "{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"loss\":1.0}\n{\"step\":3,\"loss\":9.0}\n");
}

TEST_CASE("only the torn line goes when the run was cut off right after its checkpoint") {
  const reference::TemporaryFolder folder;
  const fs::path path = folder.path() / "metrics.jsonl";
  espalier::write_text(path, "{\"step\":1}\n{\"step\":2}\n{\"st");
  const MetricsLog log(path, 2);
  CHECK(reference::bytes_of(path) == "{\"step\":1}\n{\"step\":2}\n");
}

TEST_CASE("lines that are no metrics are dropped, and a run from the start leaves none") {
  const reference::TemporaryFolder folder;
  const fs::path path = folder.path() / "metrics.jsonl";
  std::string noise = "{\"step\":1}\n";
  noise.append(3, '\0');  // what a power cut can leave
  noise.append("\n[1]\n{\"step\":\"2\"}\n{\"step\":2}\n");
  espalier::write_text(path, noise);
  { const MetricsLog log(path, 7); }
  CHECK(reference::bytes_of(path) == "{\"step\":1}\n{\"step\":2}\n");
  { const MetricsLog log(path, 0); }
  CHECK(reference::bytes_of(path).empty());
}

TEST_CASE("a metrics file that cannot be written is named") {
  const reference::TemporaryFolder folder;
  fs::create_directory(folder.path() / "metrics.jsonl");
  CHECK_THROWS_WITH_AS(
      MetricsLog(folder.path() / "metrics.jsonl", 0),
      fmt::format("{}: cannot read; got a folder; expected a file", (folder.path() / "metrics.jsonl").string()).c_str(),
      espalier::Error);
}
