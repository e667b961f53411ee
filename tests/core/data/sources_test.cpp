// SPDX-License-Identifier: Apache-2.0
#include "core/data/sources.hpp"

#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "core/data/glob.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/data/token_bytes.hpp"

using espalier::Error;
using espalier::expand;
using espalier::Glob;
using espalier::RecipeError;
using espalier::resolve;
using espalier::Scratch;
using espalier::Source;
using espalier::write_text;

namespace {

using Names = std::vector<std::string>;

void make_tree(const Scratch& scratch) {
  for (const char* name : {"b.h", "a.h", "c.txt", "x/a.hpp", "x/y/z.h", "x-y/q.h", ".git/w.h", "x/.hidden.h"}) {
    write_text(scratch / name, name);
  }
}

Names names_of(const Scratch& scratch, const std::string& pattern) {
  return expand(Glob((scratch / pattern).string()));
}

}  // namespace

TEST_CASE("globs give sorted names below their fixed part") {
  const Scratch scratch;
  make_tree(scratch);
  CHECK(names_of(scratch, "*.h") == Names{"a.h", "b.h"});
  CHECK(names_of(scratch, "**/*.h") == Names{"a.h", "b.h", "x-y/q.h", "x/y/z.h"});
  CHECK(names_of(scratch, "**/*.{h,hpp}") == Names{"a.h", "b.h", "x-y/q.h", "x/a.hpp", "x/y/z.h"});
  CHECK(names_of(scratch, "x/**/*.h*") == Names{"a.hpp", "y/z.h"});
  CHECK(names_of(scratch, "?/*/*.h") == Names{"x/y/z.h"});
  CHECK(names_of(scratch, "{x-y/q,c}.{h,txt}") == Names{"c.txt", "x-y/q.h"});
  CHECK(names_of(scratch, "**") == Names{"a.h", "b.h", "c.txt", "x-y/q.h", "x/a.hpp", "x/y/z.h"});
}

TEST_CASE("hidden names match only a pattern that asks for them") {
  const Scratch scratch;
  make_tree(scratch);
  CHECK(names_of(scratch, ".git/*.h") == Names{"w.h"});
  CHECK(names_of(scratch, "x/.*.h") == Names{".hidden.h"});
}

TEST_CASE("links to folders are followed, but not in circles") {
  const Scratch scratch;
  make_tree(scratch);
  std::filesystem::create_directory_symlink(scratch.folder(), scratch / "x/up");
  std::filesystem::create_directory_symlink(scratch / "x/y", scratch / "x-y/link");
  std::filesystem::create_symlink("nowhere.h", scratch / "x/broken.h");
  CHECK(names_of(scratch, "**/*.h") == Names{"a.h", "b.h", "x-y/link/z.h", "x-y/q.h", "x/y/z.h"});
}

TEST_CASE("a glob that matches nothing names the nearest folder that exists") {
  const Scratch scratch;
  make_tree(scratch);
  const std::string root = scratch.folder().string();
  CHECK_THROWS_WITH_AS(names_of(scratch, "x/*.md"),
                       (root + "/x/*.md: no file matches; got 1 other files below " + root +
                        "/x; expected at least one "
                        "match")
                           .c_str(),
                       Error);
  CHECK_THROWS_WITH_AS(names_of(scratch, "x/no/such/*.h"),
                       (root + "/x/no/such/*.h: no file matches; got no folder " + root +
                        "/x/no/such; the nearest that exists is " + root + "/x")
                           .c_str(),
                       Error);
}

TEST_CASE("a text file, its format and its name are told from the path") {
  const Scratch scratch;
  for (const char* name : {"a.txt", "README", "a.jsonl", "a.jsonl.gz", "a.txt.gz"}) write_text(scratch / name, "x");
  const auto only = [&](const char* name) {
    const Source source = resolve({(scratch / name).string(), std::nullopt, ""});
    REQUIRE(source.files.size() == 1);
    CHECK(source.files[0].name == name);
    CHECK(source.name == (scratch / name).string());
    return source.files[0];
  };
  CHECK_FALSE((only("a.txt").lines || only("a.txt").gzip));
  CHECK_FALSE((only("README").lines || only("README").gzip));
  CHECK((only("a.jsonl").lines && !only("a.jsonl").gzip));
  CHECK((only("a.jsonl.gz").lines && only("a.jsonl.gz").gzip));
  CHECK((!only("a.txt.gz").lines && only("a.txt.gz").gzip));
}

TEST_CASE("token files are told from text by .bin and .idx beside the prefix") {
  const Scratch scratch;
  espalier::testing::write_pair(scratch / "p.v2");
  for (const char* name : {"p.v2", "p.v2.bin", "p.v2.idx"}) {
    CHECK(resolve({(scratch / name).string(), std::nullopt, "named"}).is_tokens);
    CHECK(resolve({(scratch / name).string(), std::nullopt, "named"}).name == "named");
  }
}

TEST_CASE("what is no source is refused with what to do") {
  const Scratch scratch;
  make_tree(scratch);
  const std::string root = scratch.folder().string();
  const auto of = [&](const std::string& name) { resolve({root + name, std::nullopt, ""}); };
  CHECK_THROWS_WITH_AS(of("/x"),
                       (root + "/x: a folder is not a data source; got a folder; expected a file or a glob such as '" +
                        root + "/x/**/*.txt'")
                           .c_str(),
                       RecipeError);
  CHECK_THROWS_WITH_AS(
      of("/c.text"),
      (root + "/c.text: no such file; expected text, .jsonl, a packed prefix, a .bin or a glob; did you mean 'c.txt'?")
          .c_str(),
      Error);
  CHECK_THROWS_WITH_AS(of("/no/where/a.txt"),
                       (root + "/no/where/a.txt: no such file; the nearest folder that exists is " + root).c_str(),
                       Error);
  write_text(root + "/t.parquet", "PAR1");
  CHECK_THROWS_WITH_AS(of("/t.parquet"),
                       (root + "/t.parquet: not text; got .parquet; expected text, .jsonl or .jsonl.gz").c_str(),
                       RecipeError);
  write_text(root + "/t.bin", "tokens");
  CHECK_THROWS_WITH_AS(of("/t.*"),
                       (root + "/t.bin: a glob names text; got a token file; expected token files one by one, each by "
                               "its own path")
                           .c_str(),
                       RecipeError);
  CHECK_THROWS_WITH_AS(resolve({}), "data source has no path; got ''; expected a file, a packed prefix or a glob",
                       RecipeError);
}
