// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/match.hpp"

#include <cmath>

#include "tests/core/sweep/expanded.hpp"

using espalier::nearest_size;
using espalier::NearestSize;
using espalier::Sweep;
using espalier::test::expanded;
using espalier::test::kDepth;
using espalier::test::kTeacher;
using espalier::test::kWidth;
using espalier::test::refusal;

namespace {

// By looking at every size.
std::int64_t slow_nearest(const std::vector<std::int64_t>& sizes, double target,
                          const std::function<double(std::int64_t)>& value) {
  std::int64_t best = sizes.front();
  for (const std::int64_t size : sizes) {
    if (std::abs(value(size) - target) < std::abs(value(best) - target)) best = size;
  }
  return best;
}

std::int64_t keep_of(const Sweep& sweep, std::size_t run, std::size_t block) {
  return *sweep.runs[run].recipe.prune[block].keep;
}

}  // namespace

TEST_CASE("bisection finds the size that a look at all of them finds") {
  const std::vector<std::int64_t> sizes = {1, 2, 4, 8, 12, 16, 20, 27};
  const auto rising = [](std::int64_t keep) { return 10.0 + 3.0 * static_cast<double>(keep * keep); };
  const auto falling = [](std::int64_t keep) { return 5000.0 / static_cast<double>(keep); };
  const auto level = [](std::int64_t) { return 7.0; };
  for (double target = 1.0; target < 6000.0; target *= 1.03) {
    CAPTURE(target);
    CHECK(nearest_size(sizes, target, rising).best.keep == slow_nearest(sizes, target, rising));
    const std::int64_t got = nearest_size(sizes, target, falling).best.keep;
    CHECK(std::abs(falling(got) - target) == std::abs(falling(slow_nearest(sizes, target, falling)) - target));
  }
  CHECK(nearest_size({5}, 3.0, level).best.keep == 5);
  CHECK(!nearest_size(sizes, 3.0, level).other.has_value());
  const NearestSize between = nearest_size(sizes, 60.0, rising);  // 58 with 4, 22 with 2, 202 with 8
  CHECK(between.best.keep == 4);
  CHECK(between.other->keep == 8);
}

TEST_CASE("a free size brings an arm to the parameters of another, counted by hand") {
  const Sweep sweep = expanded(kTeacher + "[sweep]\nmatch = { by = \"non_embedding_parameters\" }\n" + kDepth + kWidth);
  // Depth: 3 · (3072 + 4608 + 64) + 32. Width: 4 · (24 · 96 + 72 · keep + 48) + 24 = 9432 + 288 · keep.
  REQUIRE(sweep.matched.size() == 1);
  CHECK(sweep.matched[0].target == 23264);
  CHECK(keep_of(sweep, 1, 1) == 48);  // (23264 - 9432) / 288 = 48.03
  CHECK(sweep.matched[0].values[1].second == 9432 + 288 * 48);
  CHECK(!sweep.runs[1].recipe.prune[1].ratio.has_value());
}

TEST_CASE("every count can be matched") {
  const auto keep = [](const std::string& match, const std::string& free, const std::string& arm) {
    const Sweep sweep = expanded(kTeacher + "[sweep]\nmatch = { tolerance = 0.05, " + match +
                                 " }\n[[sweep.arm]]\nname = \"w\"\nfree = \"" + free + "\"\n" + arm);
    return keep_of(sweep, 0, 0);
  };
  const std::string ffn = "prune = [ { axis = \"ffn\", metric = { name = \"random\" } } ]\n";
  const std::string groups = "prune = [ { axis = \"kv_groups\", metric = { name = \"random\" } } ]\n";
  // 4 · (3072 + 96 · keep + 64) + 32 = 12576 + 384 · keep, and the matrices of 100 · 32 twice.
  CHECK(keep("by = \"parameters\", target = 28200", "ffn", ffn) == 24);
  // float32: the bytes of the parameters, and 2 · 2 · 8 · 4 · 4 for each of 3 · 16 tokens in the cache.
  CHECK(keep("by = \"memory\", target = 137376, batch = 3", "ffn", ffn) == 24);  // 4 · 28192 + 512 · 48 = 137344
  // Two groups of two heads: 2 · groups · 8 · 4 bytes in 4 layers.
  CHECK(keep("by = \"kv_bytes\", target = 256", "kv_groups", groups) == 1);
  // 2 · 4 · (3072 + 96 · keep) + 4 · 1024 + 6400
  CHECK(keep("by = \"flops\", target = 53504", "ffn", ffn) == 24);
}

TEST_CASE("arms that do not match are refused at their place, with what is nearest") {
  const std::string match = "[sweep]\nmatch = { by = \"non_embedding_parameters\" }\n";
  CHECK(
      refusal(kTeacher + match + kDepth +
              "[[sweep.arm]]\nname = \"wide\"\nprune = [ { axis = \"ffn\", keep = 24, metric = { name = \"random\" } } "
              "]\n") ==
      "r.toml:14:1: error: [sweep] arm 'wide' does not match in non_embedding_parameters; got 21,792; expected 23,032 "
      "to 23,496, or free = \"…\", an axis whose size may change\n1 error");
  CHECK(refusal(kTeacher + match + kDepth +
                "[[sweep.arm]]\nname = \"narrow\"\nfree = \"kv_groups\"\nprune = [ { axis = \"kv_groups\", metric = { "
                "name = \"random\" } } ]\n") ==
        "r.toml:16:8: error: [sweep] no kv_groups of arm 'narrow' matches in non_embedding_parameters; got 24,864 with "
        "kv_groups 1; expected 23,032 to 23,496\n1 error");
  CHECK(refusal(kTeacher +
                "[sweep]\nmatch = { by = \"parameters\", target = 29000, tolerance = 0.001 }\n[[sweep.arm]]\nname = "
                "\"a\"\nfree = \"ffn\"\nprune = [ { axis = \"ffn\", metric = { name = \"random\" } } ]\n") ==
        "r.toml:13:8: error: [sweep] no ffn of arm 'a' matches in parameters; got 28,960 with ffn 26, 29,344 with ffn "
        "27; expected 28,971 to 29,029\n1 error");
}

TEST_CASE("a throughput that was measured once is not measured again") {
  const std::string text = "output = \"OUT\"\n" + kTeacher +
                           "[sweep]\nmatch = { by = \"throughput\", target = 1e9, tolerance = 1.0, batch = 1 }\n" +
                           kDepth + kWidth;
  const espalier::test::TemporaryFolder folder;
  std::string placed = text;
  placed.replace(placed.find("OUT"), 3, (folder / "sweep").string());
  const Sweep first = expanded(placed), second = expanded(placed);
  CHECK(first.matched[0].values == second.matched[0].values);
  CHECK(espalier::fs::exists(folder / "sweep" / "throughput.json"));
}
