// SPDX-License-Identifier: Apache-2.0
#include "core/report/metric_lab.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "core/base/error.hpp"
#include "core/report/rank_statistics.hpp"
#include "tests/core/report/lab_runs.hpp"

using espalier::LabRun;
using espalier::metric_lab;
using espalier::test::LabFolder;
using espalier::test::Layers;
using espalier::test::origin;
using nlohmann::json;

TEST_CASE("two metrics at one calibration: correlations by layer, and what they keep in common") {
  LabFolder lab;
  const LabRun a = lab.run("a"), b = lab.run("b");
  // Layer 0: ranks 1 2 3 4 against 2 1 4 3, rho 1 - 6·4/60 = 0.6, tau (4 - 2)/6. Layer 1: reversed, -1.
  LabFolder::scores(a, "ffn", {{1, 2, 3, 4}, {1, 2, 3, 4}}, origin("first", R"({"seq":"l2"})", "64", "7"));
  LabFolder::scores(b, "ffn", {{2, 1, 4, 3}, {4, 3, 2, 1}}, origin("second", "{}", "64", "7"));
  LabFolder::plan(a, {{2, 3}, {2, 3}});
  const json result = metric_lab(lab.runs());
  CHECK(result["schema"] == 1);
  REQUIRE(result["axes"].size() == 1);
  const json& axis = result["axes"][0];
  CHECK(axis["axis"] == "ffn");
  CHECK(axis["teacher"] == "t1");
  CHECK(axis["runs"] == json({"a", "b"}));
  CHECK(axis["shared"] == false);
  CHECK(axis["layers"] == false);
  CHECK(axis["metrics"][0] == json{{"label", "first"}, {"metric", "first"}, {"options", {{"seq", "l2"}}}});
  REQUIRE(axis["pairs"].size() == 1);
  const json& pair = axis["pairs"][0];
  CHECK(pair["a"] == 0);
  CHECK(pair["b"] == 1);
  CHECK(pair["samples"] == 64);
  CHECK(pair["calibrations"] == 1);
  CHECK(pair["layers"][0].get<double>() == doctest::Approx(0.6));
  CHECK(pair["layers"][1].get<double>() == doctest::Approx(-1.0));
  CHECK(pair["spearman"].get<double>() == doctest::Approx(-0.2));
  CHECK(pair["kendall"].get<double>() == doctest::Approx((1.0 / 3 - 1) / 2));
  // At two of four: layer 0 the same units, layer 1 none.
  REQUIRE(axis["targets"].size() == 1);
  CHECK(axis["targets"][0]["keep"] == json({2, 2}));
  CHECK(axis["targets"][0]["of"] == json({4, 4}));
  CHECK(axis["targets"][0]["runs"] == json({"a"}));
  CHECK(axis["targets"][0]["chance"]["share"] == 0.5);
  CHECK(axis["targets"][0]["chance"]["jaccard"].get<double>() == doctest::Approx(7.0 / 18));
  CHECK(pair["overlap"][0]["share"] == 0.5);
  CHECK(pair["overlap"][0]["jaccard"] == 0.5);
  CHECK(axis["stability"].empty());
}

TEST_CASE("what the plan of a run keeps goes before the top units") {
  LabFolder lab;
  const LabRun a = lab.run("a"), b = lab.run("b");
  LabFolder::scores(a, "ffn", {{1, 2, 3, 4}, {1, 2, 3, 4}}, origin("first", "{}", "64", "7"));
  LabFolder::scores(b, "ffn", {{1, 2, 3, 4}, {1, 2, 3, 4}}, origin("second", "{}", "64", "7"));
  LabFolder::plan(a, {{0, 3}, {0, 1}});  // an axis that chooses in another way
  const json axis = metric_lab(lab.runs())["axes"][0];
  CHECK(axis["pairs"][0]["spearman"] == 1.0);
  CHECK(axis["pairs"][0]["overlap"][0]["share"] == 0.25);  // 1 of 2 and 0 of 2
  // In rounds the choice follows from later scores, too.
  LabFolder::scores(
      a, "ffn", {{1, 2, 3, 4}, {1, 2, 3, 4}},
      [] {
        auto later = origin("first", "{}", "64", "7");
        later["round"] = "2 of 2";
        return later;
      }(),
      false, ".round2");
  CHECK(metric_lab(lab.runs())["axes"][0]["pairs"][0]["overlap"][0]["share"] == 1.0);
}

TEST_CASE("metrics are compared at equal calibrations, those with most samples, averaged over seeds") {
  LabFolder lab;
  const Layers up = {{1, 2, 3}, {1, 2, 3}}, down = {{3, 2, 1}, {3, 2, 1}}, mixed = {{1, 3, 2}, {1, 3, 2}};
  LabFolder::scores(lab.run("a16"), "ffn", up, origin("first", "{}", "16", "1"));
  LabFolder::scores(lab.run("a64"), "ffn", up, origin("first", "{}", "64", "1"));
  LabFolder::scores(lab.run("a64-2"), "ffn", up, origin("first", "{}", "64", "2"));
  LabFolder::scores(lab.run("b16"), "ffn", down, origin("second", "{}", "16", "1"));
  LabFolder::scores(lab.run("b64"), "ffn", mixed, origin("second", "{}", "64", "1"));
  LabFolder::scores(lab.run("b64-2"), "ffn", up, origin("second", "{}", "64", "2"));
  LabFolder::scores(lab.run("b64-3"), "ffn", down, origin("second", "{}", "64", "3"));  // nothing to compare with
  LabFolder::scores(lab.run("c"), "ffn", down, origin("third", "{}", "", "1"));         // looks at no data
  const json axis = metric_lab(lab.runs())["axes"][0];
  REQUIRE(axis["pairs"].size() == 3);
  CHECK(axis["pairs"][0]["calibrations"] == 2);
  CHECK(axis["pairs"][0]["spearman"].get<double>() == doctest::Approx(0.75));  // 0.5 (1 - 6·2/24) and 1
  CHECK(axis["pairs"][1]["samples"] == 64);                                    // first and third, seed 1
  CHECK(axis["pairs"][1]["calibrations"] == 1);
  CHECK(axis["pairs"][1]["spearman"] == -1.0);
  CHECK(axis["targets"].empty());
  CHECK(axis["pairs"][0]["overlap"].empty());
}

namespace {

// 0, 1, …, 39 with as many of the lowest exchanged for the highest: that many of the top twenty are wrong.
std::vector<float> exchanged(std::size_t wrong) {
  std::vector<float> scores(40);
  for (std::size_t i = 0; i < 40; ++i) scores[i] = static_cast<float>(i);
  for (std::size_t i = 0; i < wrong; ++i) std::swap(scores[i], scores[39 - i]);
  return scores;
}

void save_exchanged(LabFolder& lab, const std::string& samples, const std::string& seed, std::size_t wrong) {
  const LabRun run = lab.run("s" + samples + "-" + seed);
  LabFolder::scores(run, "ffn", {exchanged(wrong), exchanged(wrong)}, origin("first", "{}", samples, seed));
}

espalier::Indices top_half() {
  espalier::Indices units;
  for (std::int64_t i = 20; i < 40; ++i) units.push_back(i);
  return units;
}

}  // namespace

TEST_CASE("agreement with the largest number of samples, between seeds, and how many samples are enough") {
  LabFolder lab;
  save_exchanged(lab, "16", "1", 2);  // 18 of 20 right
  save_exchanged(lab, "16", "2", 4);  // 16 of 20 right
  save_exchanged(lab, "64", "1", 0);
  save_exchanged(lab, "256", "1", 0);
  LabFolder::plan(lab.runs().back(), {top_half(), top_half()}, 40);
  const json axis = metric_lab(lab.runs())["axes"][0];
  REQUIRE(axis["stability"].size() == 1);
  const json& one = axis["stability"][0];
  CHECK(one["largest"] == 256);
  CHECK(one["seq_length"] == 32);
  CHECK(one["target"] == 0);
  REQUIRE(one["points"].size() == 3);
  const json& first = one["points"][0];
  CHECK(first["samples"] == 16);
  CHECK(first["files"] == 2);
  CHECK(first["share"].get<double>() == doctest::Approx(0.9));  // seed 1 has a largest of its own seed, seed 2 has none
  CHECK(first["jaccard"].get<double>() == doctest::Approx(18.0 / 22));
  const std::vector<float> wrong = exchanged(2), right = exchanged(0);
  const std::vector<double> a(wrong.begin(), wrong.end()), b(right.begin(), right.end());
  CHECK(first["spearman"].get<double>() == doctest::Approx(*espalier::spearman(a, b)));
  CHECK(first["between_seeds"]["pairs"] == 1);
  CHECK(first["between_seeds"]["share"].get<double>() == doctest::Approx(0.9));  // the two share two of their errors
  CHECK(one["points"][1]["between_seeds"].is_null());
  CHECK(one["points"][2]["share"] == 1.0);
  // From 0.9 at 16 to 1 at 64, 0.95 is half-way in the logarithm.
  CHECK(one["samples_needed"].get<double>() == doctest::Approx(std::sqrt(16.0 * 64.0)));
}

TEST_CASE("samples are not enough when only the largest number agrees with itself, and the first when that does") {
  LabFolder never, at_once;
  save_exchanged(never, "16", "1", 4);
  save_exchanged(never, "64", "1", 0);
  LabFolder::plan(never.runs().back(), {top_half(), top_half()}, 40);
  CHECK(metric_lab(never.runs())["axes"][0]["stability"][0]["samples_needed"].is_null());
  save_exchanged(at_once, "16", "1", 1);
  save_exchanged(at_once, "64", "1", 0);
  LabFolder::plan(at_once.runs().back(), {top_half(), top_half()}, 40);
  CHECK(metric_lab(at_once.runs())["axes"][0]["stability"][0]["samples_needed"] == 16.0);
}

TEST_CASE("labels name the options in which variants of a metric differ") {
  LabFolder lab;
  const Layers scores = {{1, 2}, {1, 2}};
  LabFolder::scores(lab.run("a"), "ffn", scores, origin("first", R"({"batch":"l2","seq":"mean"})", "8", "1"));
  LabFolder::scores(lab.run("b"), "ffn", scores, origin("first", R"({"batch":"var","seq":"mean"})", "8", "1"));
  const json axis = metric_lab(lab.runs())["axes"][0];
  CHECK(axis["metrics"][0]["label"] == "first (batch=l2)");
  CHECK(axis["metrics"][1]["label"] == "first (batch=var)");
}

TEST_CASE("maps have the mean of each layer, or the layers' own scores, and the same score everywhere is no map") {
  LabFolder lab;
  const LabRun a = lab.run("a");
  LabFolder::scores(a, "ffn", {{1, 3}, {5, 7}, {2, 2}}, origin("first", "{}", "8", "1"));
  LabFolder::scores(a, "hidden", {{1, 2, 3}}, origin("first", "{}", "8", "1"), true);
  const json axes = metric_lab(lab.runs())["axes"];
  REQUIRE(axes.size() == 2);
  CHECK(axes[0]["maps"][0]["mean"] == json({2.0, 6.0, 2.0}));
  CHECK(axes[0]["maps"][0]["normalised"] == json({0.0, 1.0, 0.0}));
  CHECK(axes[1]["maps"].empty());
  LabFolder flat;
  LabFolder::scores(flat.run("a"), "ffn", {{1, 3}, {2, 2}}, origin("first", "{}", "8", "1"));
  CHECK(metric_lab(flat.runs())["axes"][0]["maps"][0]["normalised"] == json({nullptr, nullptr}));
}

TEST_CASE("scores of other teachers are apart, equal files are one, and runs without scores are passed over") {
  LabFolder lab;
  const Layers scores = {{1, 2}, {1, 2}};
  auto other = origin("second", "{}", "8", "1");
  other["teacher_digest"] = "t2";
  LabFolder::scores(lab.run("a"), "ffn", scores, origin("first", "{}", "8", "1"));
  LabFolder::scores(lab.run("b"), "ffn", scores, origin("first", "{}", "8", "1"));
  LabFolder::scores(lab.run("c"), "ffn", scores, other);
  lab.run("control");
  const json axes = metric_lab(lab.runs())["axes"];
  REQUIRE(axes.size() == 2);
  CHECK(axes[0]["runs"] == json({"a", "b"}));
  CHECK(axes[0]["metrics"].size() == 1);
  CHECK(axes[0]["pairs"].empty());
  CHECK(axes[1]["runs"] == json({"c"}));
  LabFolder none;
  none.run("control");
  CHECK(metric_lab(none.runs()).is_null());
}

TEST_CASE("a damaged number of samples is an error with its file") {
  LabFolder lab;
  const LabRun run = lab.run("a");
  LabFolder::scores(run, "ffn", {{1, 2}}, origin("first", "{}", "many", "1"));
  const std::string path = (run.folder / "scores" / "ffn.safetensors").string();
  CHECK_THROWS_WITH_AS(metric_lab(lab.runs()),
                       (path + ": 'samples' of the metadata is damaged; got 'many'; expected a number from 0").c_str(),
                       espalier::Error);
}
