// SPDX-License-Identifier: Apache-2.0
#include "tests/core/recipe/support.hpp"

namespace {

using espalier_test::kTeacher;
using espalier_test::parse;
using espalier_test::problems;

const std::string kDistill = "[distill]\nsteps = 1\n";  // the table after it begins on line 5

}  // namespace

TEST_CASE("a teacher cache reads its defaults, and is absent unless the recipe has it") {
  CHECK(!parse(kTeacher + kDistill).teacher_cache.has_value());
  const espalier::Recipe recipe = parse(kTeacher + kDistill + "[teacher_cache]\n");
  REQUIRE(recipe.teacher_cache.has_value());
  CHECK(recipe.teacher_cache->k == 0);
  CHECK(recipe.teacher_cache->dtype == "float32");
  CHECK(recipe.teacher_cache->where.line == 5);
}

TEST_CASE("k = 0 keeps all of a small vocabulary and 256 tokens of a large one; another k is kept as it is") {
  const espalier::TeacherCacheBlock chosen;
  CHECK(chosen.kept_of(257) == 257);
  CHECK(chosen.kept_of(1024) == 1024);
  CHECK(chosen.kept_of(1025) == 256);
  espalier::TeacherCacheBlock given;
  given.k = 7;
  CHECK(given.kept_of(257) == 7);
  CHECK(given.kept_of(128256) == 7);
}

TEST_CASE("a teacher cache written out reads back to the same, and takes overrides") {
  const espalier::Recipe recipe = parse(kTeacher + kDistill + "[teacher_cache]\nk = 12\ndtype = \"float16\"\n");
  const std::string written = espalier::to_toml(recipe, {});
  CHECK(written.find("\n[teacher_cache]\nk = 12\ndtype = \"float16\"\n") != std::string::npos);
  CHECK(espalier::to_toml(parse(written), {}) == written);
  const espalier::Recipe other =
      parse(kTeacher + kDistill + "[teacher_cache]\nk = 12\n", {"teacher_cache.k=5", "teacher_cache.dtype=bfloat16"});
  CHECK(other.teacher_cache->k == 5);
  CHECK(other.teacher_cache->dtype == "bfloat16");
  CHECK(parse(kTeacher + kDistill, {"teacher_cache.k=3"}).teacher_cache->k == 3);
}

TEST_CASE("mistakes in a teacher cache are told at their places") {
  CHECK(problems(kTeacher + "[teacher_cache]\nk = -1\ndtype = \"int8\"\ntail = \"zero\"\n") ==
        "r.toml:3:1: error: [teacher_cache] serves a distillation, and there is none; expected a table [distill]\n"
        "r.toml:4:5: error: [teacher_cache] k is out of range; got -1; expected an integer of at least 0\n"
        "r.toml:5:9: error: [teacher_cache] dtype is not a known choice; got \"int8\"; expected \"float32\", "
        "\"bfloat16\" or \"float16\"\n"
        "r.toml:6:1: error: [teacher_cache] unknown key; got 'tail'; expected k or dtype\n4 errors");
  CHECK(problems(kTeacher + kDistill + "[[teacher_cache]]\n") ==
        "r.toml:5:1: error: teacher_cache has the wrong type; got a list of tables; expected a table "
        "[teacher_cache]\n1 error");
}
