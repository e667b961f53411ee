// SPDX-License-Identifier: Apache-2.0
#include "core/report/comparison.hpp"

#include <cmath>

#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "core/report/sweep_files.hpp"
#include "tests/core/base/scratch.hpp"

using doctest::Approx;
using espalier::compare;
using espalier::CompareOptions;
using espalier::MeasuredModel;
using espalier::RunRef;
using nlohmann::json;

namespace {

// A model with a loss for each of eight documents: `level` per token, and a little of its own.
RunRef model(const std::string& arm, std::int64_t seed, double level, const std::string& digest = "data") {
  auto measured = std::make_shared<MeasuredModel>();
  double sum = 0.0, tokens = 0.0;
  for (int d = 0; d < 8; ++d) {
    const double count = 10 + d, nll = count * (level + 0.01 * std::sin(3.0 * d) + 0.001 * std::cos(d * level * 100));
    measured->documents.source.push_back(0);
    measured->documents.document.push_back(d);
    measured->documents.nll.push_back(nll);
    measured->documents.tokens.push_back(10 + d);
    sum += nll, tokens += count;
  }
  measured->eval = {
      {"nll", sum / tokens},
      {"bits_per_byte", sum / tokens / std::log(2.0)},
      {"tokens", tokens},
      {"tasks", json::object()},
      {"protocol",
       {{"seq_length", 16}, {"dtype", "float32"}, {"device", "cpu"}, {"data", {{{"name", "d"}, {"digest", digest}}}}}},
      {"model_counts", {{"parameters", 1000}, {"non_embedding_parameters", 800}, {"bytes", 4000}}}};
  RunRef ref;
  ref.name = arm + "-seed" + std::to_string(seed), ref.arm = arm, ref.seed = seed;
  ref.folder = "nowhere/" + ref.name;
  ref.measured = measured;
  return ref;
}

std::vector<RunRef> three_arms() {
  std::vector<RunRef> runs;
  for (std::int64_t seed = 1; seed <= 3; ++seed) {
    const double of_seed = 0.002 * static_cast<double>(seed);
    runs.push_back(model("width", seed, 1.30 + of_seed));
    runs.push_back(model("depth", seed, 1.40 + of_seed));
    runs.push_back(model("twin", seed, 1.30 + of_seed + (seed == 2 ? 0.001 : -0.0005)));
  }
  return runs;
}

std::vector<std::string> pairs_of(const json& comparison) {
  std::vector<std::string> pairs;
  for (const json& verdict : comparison["verdicts"])
    pairs.push_back(verdict["a"].get<std::string>() + " " + verdict["b"].get<std::string>());
  return pairs;
}

}  // namespace

TEST_CASE("every arm is compared with the baseline, or every one with every other; the number of them is stated") {
  const json plain = compare(three_arms(), {});
  CHECK(plain["schema"] == 1);
  CHECK(plain["baseline"] == "width");
  CHECK(pairs_of(plain) == std::vector<std::string>{"width depth", "width twin"});
  CHECK(plain["verdicts"][0]["comparisons"] == 2);
  CHECK(plain["verdicts"][0]["outcome"] == "better");
  CHECK(plain["verdicts"][0]["difference"].get<double>() == Approx(-0.1).epsilon(0.02));
  CHECK(plain["verdicts"][1]["outcome"] == "undecided");
  CompareOptions options;
  options.baseline = "twin";
  CHECK(pairs_of(compare(three_arms(), options)) == std::vector<std::string>{"twin width", "twin depth"});
  options.all_pairs = true;
  const json all = compare(three_arms(), options);
  CHECK(pairs_of(all) == std::vector<std::string>{"width depth", "width twin", "depth twin"});
  CHECK(all["verdicts"][0]["comparisons"] == 3);
  // Three together are wider than two.
  CHECK(all["verdicts"][0]["high"].get<double>() > plain["verdicts"][0]["high"].get<double>());
  options.baseline = "twinn";
  CHECK_THROWS_WITH_AS(
      compare(three_arms(), options),
      "--baseline: no such arm; got 'twinn'; expected 'width', 'depth' or 'twin'; did you mean 'twin'?",
      espalier::RecipeError);
}

TEST_CASE("numbers of an arm are means over its seeds, and what does not exist is null") {
  const json comparison = compare(three_arms(), {});
  const json& arm = comparison["arms"][0];
  CHECK(arm["runs"] == json{"width-seed1", "width-seed2", "width-seed3"});
  double mean = 0.0;
  for (const json& run : comparison["runs"])
    if (run["arm"] == "width") mean += run["nll"].get<double>() / 3;
  CHECK(arm["after"]["nll"]["mean"].get<double>() == Approx(mean));
  CHECK(arm["after"]["nll"]["sd"].get<double>() == Approx(0.002).epsilon(0.1));
  CHECK(arm["after"]["nll"]["low"].get<double>() ==
        Approx(mean - 4.302652730 * arm["after"]["nll"]["sd"].get<double>() / std::sqrt(3.0)));
  CHECK(arm["before"]["nll"]["mean"].is_null());
  CHECK(arm["parameters"] == 1000);
  for (const char* key : {"seconds", "speed", "kv_bytes_per_token"}) CHECK(arm.at(key).is_null());
  for (const char* key : {"match", "metric_lab"}) CHECK(comparison.at(key).is_null());
  CHECK(comparison["failed"] == json::array());
  CHECK(comparison.dump() == compare(three_arms(), {}).dump());
}

TEST_CASE("models of other windows are refused with what differs") {
  CHECK_THROWS_WITH_AS(
      compare({model("a", 1, 1.0), model("b", 1, 1.1, "other")}, {}),
      "a-seed1 and b-seed1 were not measured alike: data differs; got data and other; expected the same "
      "windows of the same data",
      espalier::RecipeError);
  RunRef longer = model("b", 1, 1.1);
  auto changed = std::make_shared<MeasuredModel>(*longer.measured);
  changed->eval["protocol"]["seq_length"] = 32;
  longer.measured = changed;
  CHECK_THROWS_WITH_AS(
      compare({model("a", 1, 1.0), longer}, {}),
      "a-seed1 and b-seed1 were not measured alike: seq_length differs; got 16 and 32; expected the same "
      "windows of the same data",
      espalier::RecipeError);
}

TEST_CASE("a sweep's file says which runs are what, and one that failed is told, not counted") {
  const espalier::Scratch scratch;
  espalier::write_json(scratch / "sweep.json", {{"schema", 1},
                                                {"name", "s"},
                                                {"baseline", "width"},
                                                {"runs",
                                                 {{{"name", "width-seed1"},
                                                   {"folder", "width-seed1"},
                                                   {"arm", "width"},
                                                   {"seed", 1},
                                                   {"teacher", "t"},
                                                   {"state", "failed"},
                                                   {"error", "disk full"}}}}});
  REQUIRE(espalier::is_sweep(scratch / ""));
  const std::vector<RunRef> runs = espalier::runs_of_sweep(scratch / "");
  REQUIRE(runs.size() == 1);
  CHECK(runs[0].seed == 1);
  const json comparison = compare(runs, espalier::options_of_sweep(scratch / ""));
  CHECK(comparison["title"] == "s");
  CHECK(comparison["arms"] == json::array());
  CHECK(comparison["failed"] == json{{{"run", "width-seed1"}, {"error", "disk full"}}});
  CHECK(comparison["runs"][0]["nll"].is_null());
}

TEST_CASE("the text has the table, with deviations over seeds, and the verdicts") {
  const std::string text = espalier::comparison_text(compare(three_arms(), {}));
  CHECK(text.starts_with("arm    runs  parameters  non-embedding "));
  CHECK(text.find("\nwidth     3       1,000            800 ") != std::string::npos);
  CHECK(text.find(" ± 0.00") != std::string::npos);
  CHECK(text.find("\nwidth is better than depth by 0.1") != std::string::npos);
  CHECK(text.find("corrected for 2 comparisons, 3 seeds × 8 documents).\n") != std::string::npos);
}
