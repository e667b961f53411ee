// SPDX-License-Identifier: Apache-2.0
#include "core/report/verdict.hpp"

#include <doctest/doctest.h>

#include "core/report/verdict_text.hpp"

using doctest::Approx;
using espalier::Arm;
using espalier::Contrast;
using espalier::contrasts_of;
using espalier::Judgement;
using espalier::Moment;
using espalier::RunRecord;
using espalier::verdict_of;
using espalier::verdict_text;

namespace {

Contrast contrast(std::size_t seeds, std::size_t documents) {
  Contrast result;
  result.a = "width", result.b = "depth";
  result.seeds_a = result.seeds_b = seeds;
  result.sample.tokens.assign(documents, 1.0);
  return result;
}

Judgement judged(double difference, double half) {
  Judgement result;
  result.difference = difference, result.low = difference - half, result.high = difference + half;
  return result;
}

// A run whose documents have these losses, 10 tokens each.
RunRecord run(const std::string& arm, std::optional<std::int64_t> seed, const std::vector<double>& nll,
              const std::string& teacher = "t") {
  RunRecord record;
  record.ref.name = record.ref.arm = arm;
  record.ref.seed = seed;
  record.ref.teacher = teacher;
  record.eval = {{"nll", 2.0}, {"bits_per_byte", 3.0}};
  record.after.emplace();
  for (std::size_t d = 0; d < nll.size(); ++d) {
    record.after->source.push_back(0);
    record.after->document.push_back(static_cast<std::int64_t>(d));
    record.after->nll.push_back(nll[d]);
    record.after->tokens.push_back(10);
  }
  return record;
}

}  // namespace

TEST_CASE("a verdict names the better arm first, with its interval and what it was measured on") {
  CHECK(verdict_text(contrast(3, 412), judged(-0.031, 0.004)) ==
        "width is better than depth by 0.031 nats per token (95 % interval 0.027 to 0.035, 3 seeds × 412 documents)");
  CHECK(verdict_text(contrast(3, 1412), judged(0.031, 0.004)) ==
        "depth is better than width by 0.031 nats per token (95 % interval 0.027 to 0.035, 3 seeds × 1,412 documents)");
  Contrast before = contrast(1, 412);
  before.moment = Moment::before;
  Judgement alone = judged(-0.5, 0.01);
  alone.covers_seeds = false;
  CHECK(verdict_text(before, alone) ==
        "before distillation, width is better than depth by 0.500 nats per token (95 % interval 0.490 to 0.510, 1 seed "
        "× 412 documents; seeds are not covered)");
}

TEST_CASE("an undecided verdict says what would be needed") {
  Judgement open = judged(0.002, 0.006);
  open.needed.seeds = 9;
  CHECK(verdict_text(contrast(3, 412), open) ==
        "width and depth cannot be told apart: 0.002 nats per token (95 % interval −0.004 to 0.008, 3 seeds × 412 "
        "documents); about 9 seeds would be needed");
  open.needed = {std::nullopt, 1234};
  CHECK(verdict_text(contrast(3, 412), open) ==
        "width and depth cannot be told apart: 0.002 nats per token (95 % interval −0.004 to 0.008, 3 seeds × 412 "
        "documents); no number of seeds would do, about 1,234 documents would be needed");
  open.needed = {};
  CHECK(verdict_text(contrast(3, 412), open) ==
        "width and depth cannot be told apart: 0.002 nats per token (95 % interval −0.004 to 0.008, 3 seeds × 412 "
        "documents); neither more seeds nor more documents alone would do");
}

TEST_CASE("arms whose recipes come to the same model are said to be one") {
  Contrast same = contrast(2, 3);
  same.sample.strata = {{1.0, {{0.0, 0.0, 0.0}, {0.0, 0.0, 0.0}}}};
  CHECK(verdict_text(same, judged(0.0, 0.0)) == "width and depth are one model (2 seeds × 3 documents)");
  same.sample.strata[0].sums[1][2] = 1e-9;
  CHECK(verdict_text(same, judged(0.0, 0.0)).find("cannot be told apart") != std::string::npos);
}

TEST_CASE("teachers, corrected comparisons, unpaired seeds and models without a seed are said") {
  Contrast these = contrast(3, 412);
  these.teachers = 2;
  Judgement corrected = judged(-0.031, 0.004);
  corrected.comparisons = 3;
  CHECK(verdict_text(these, corrected) ==
        "width is better than depth by 0.031 nats per token for these 2 teachers (95 % interval 0.027 to 0.035 "
        "corrected for 3 comparisons, 2 teachers × 3 seeds × 412 documents)");
  these.teachers = 4, these.general = true;
  CHECK(verdict_text(these, judged(-0.031, 0.004)) ==
        "width is better than depth by 0.031 nats per token for teachers in general (95 % interval 0.027 to 0.035, 4 "
        "teachers × 3 seeds × 412 documents)");
  Contrast apart = contrast(3, 412);
  apart.seeds_b = 2, apart.paired = false;
  CHECK(verdict_text(apart, judged(-0.031, 0.004)) ==
        "width is better than depth by 0.031 nats per token (95 % interval 0.027 to 0.035, 3 and 2 seeds × 412 "
        "documents, the seeds not paired)");
  Contrast plain = contrast(1, 412);
  plain.seeded = plain.paired = false;
  Judgement alone = judged(-0.031, 0.004);
  alone.covers_seeds = false;
  CHECK(verdict_text(plain, alone) ==
        "width is better than depth by 0.031 nats per token (95 % interval 0.027 to 0.035, one model each × 412 "
        "documents; seeds are not covered)");
}

TEST_CASE("an end of an interval that is not zero does not look like zero") {
  CHECK(verdict_text(contrast(3, 9), judged(-0.0052, 0.005)) ==
        "width is better than depth by 0.0052 nats per token (95 % interval 0.0002 to 0.0102, 3 seeds × 9 documents)");
}

TEST_CASE("seeds that both arms have are paired, and verdict and interval agree") {
  const Arm a{"a", {run("a", 1, {10, 20, 31}), run("a", 2, {11, 22, 31}), run("a", 9, {99, 99, 99})}, {}};
  const Arm b{"b", {run("b", 1, {12, 22, 32}), run("b", 2, {12, 24, 33})}, {}};
  const auto contrasts = contrasts_of(a, b, Moment::after);
  REQUIRE(contrasts.size() == 1);
  CHECK(contrasts[0].paired);
  REQUIRE(contrasts[0].sample.strata.size() == 1);
  CHECK(contrasts[0].sample.strata[0].sums == std::vector<std::vector<double>>{{-2, -2, -1}, {-1, -2, -2}});
  const auto verdict = verdict_of(contrasts[0], 0.95, 1);
  CHECK(verdict["difference"].get<double>() == Approx(-10.0 / 60));
  CHECK(verdict["seeds"] == 2);
  CHECK(verdict["documents"] == 3);
  CHECK(verdict["scope"] == "documents and seeds");
  CHECK(verdict["difference_bits_per_byte"].get<double>() == Approx(-10.0 / 60 * 1.5));
  const bool apart = verdict["high"].get<double>() < 0.0;
  CHECK(verdict["outcome"] == (apart ? "better" : "undecided"));
  CHECK(contrasts_of(a, b, Moment::before).empty());
}

TEST_CASE("three teachers are spoken of by themselves and in general, two only by themselves") {
  const auto arm = [](const std::string& name, double more, int teachers) {
    Arm result{name, {}, {}};
    for (int t = 0; t < teachers; ++t) {
      const std::string teacher = "t" + std::to_string(t);
      for (int s = 1; s <= 2; ++s)
        result.runs.push_back(run(name, s, {10 + more, 20 + 2 * more + 0.1 * s * t}, teacher));
    }
    return result;
  };
  const auto three = contrasts_of(arm("a", 1, 3), arm("b", 2, 3), Moment::after);
  REQUIRE(three.size() == 2);
  CHECK_FALSE(three[0].general);
  CHECK(three[0].sample.strata.size() == 3);
  CHECK(three[1].general);
  REQUIRE(three[1].sample.strata.size() == 1);
  CHECK(three[1].sample.strata[0].sums.size() == 3);
  CHECK(three[1].sample.strata[0].sums[2][1] == Approx(-2.0));
  CHECK(verdict_of(three[1], 0.95, 1)["scope"] == "documents, seeds and teachers");
  CHECK(verdict_of(three[0], 0.95, 1)["difference"] == verdict_of(three[1], 0.95, 1)["difference"]);
  CHECK(contrasts_of(arm("a", 1, 2), arm("b", 2, 2), Moment::after).size() == 1);
}

TEST_CASE("arms without a common seed are compared unpaired, one document gives no interval over documents") {
  const Arm a{"a", {run("a", 1, {10}), run("a", 2, {11})}, {}}, b{"b", {run("b", 3, {14}), run("b", 4, {15})}, {}};
  const auto contrasts = contrasts_of(a, b, Moment::after);
  REQUIRE(contrasts.size() == 1);
  CHECK_FALSE(contrasts[0].paired);
  CHECK(verdict_of(contrasts[0], 0.95, 1)["scope"] == "seeds alone");
  const Arm one{"one", {run("one", 1, {10})}, {}}, other{"other", {run("other", 1, {12})}, {}};
  const auto verdict = verdict_of(contrasts_of(one, other, Moment::after)[0], 0.95, 1);
  CHECK(verdict["low"].is_null());
  CHECK(verdict["outcome"] == "undecided");
  CHECK(verdict["text"] ==
        "one and other differ by −0.2000 nats per token (1 seed × 1 document: too few for an interval)");
}
