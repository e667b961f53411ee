// SPDX-License-Identifier: Apache-2.0
#include "core/search/candidates.hpp"

#include "tests/core/search/searched.hpp"

namespace {

using namespace espalier;
using espalier::test::Searched;
using espalier::test::small_llama;

}  // namespace

TEST_CASE("no point inside the budgets: the nearest ones are named, nearest first") {
  const Searched searched({"axis = \"hidden\"", "axis = \"layers\""},
                          R"(axes = [ { axis = "hidden", keep = [32] }, { axis = "layers", from = 1, to = 4 } ]
budget = [ { by = "parameters", at_least = 22000, at_most = 29000 }, { by = "kv_bytes_per_token", at_most = 1e6 } ]
)");
  CHECK(searched.problems(small_llama(), {2, 64}) ==
        "r.toml:3:1: error: [search] no point of the grid meets the budgets; got 4 points; expected parameters from "
        "22,000 to 29,000, and kv_bytes_per_token of at most 1,000,000\n"
        "note: nearest: hidden32-layers2: parameters 21,920, kv_bytes_per_token 128\n"
        "note: nearest: hidden32-layers3: parameters 29,664, kv_bytes_per_token 192\n"
        "note: nearest: hidden32-layers4: parameters 37,408, kv_bytes_per_token 256\n"
        "1 error");
}

TEST_CASE("sizes that an axis cannot give are told at their places, each once") {
  const Searched searched(
      {"axis = \"hidden\"", "axis = \"heads\"", "axis = \"ffn\"\ngranularity = 8", "axis = \"layers\""},
      R"(axes = [ { axis = "hidden", keep = [16, 33] },
         { axis = "heads", keep = [2, 3] },
         { axis = "ffn", step = 12, max_removed = 0.5 },
         { axis = "layers", from = 3, to = 5 } ]
)");
  CHECK(searched.problems(small_llama()) ==
        "r.toml:4:41: error: [search] keep of axis 'hidden' is out of range; got 33; expected 1 to 32 (nearest: 32)\n"
        "r.toml:5:39: error: [search] keep of axis 'heads' is not a size it can give; got 3; expected a multiple of 2 "
        "up to 4 (nearest: 2, 4)\n"
        "r.toml:6:33: error: [search] step of axis 'ffn' is not one it can take; got 12; expected a multiple of 8\n"
        "3 errors");
  const Searched range({"axis = \"layers\""}, "axes = [ { axis = \"layers\", from = 3, to = 5 } ]\n");
  CHECK(range.problems(small_llama()) ==
        "r.toml:4:36: error: [search] range of axis 'layers' is out of range; got 5; expected 1 to 4 (nearest: 4)\n"
        "1 error");
}

TEST_CASE("a fixed block that cannot be given is told as without a search") {
  const Searched searched({"axis = \"heads\"\nkeep = 3", "axis = \"layers\""},
                          "axes = [ { axis = \"layers\", keep = [1, 2] } ]\n");
  CHECK(searched.problems(small_llama()) ==
        "r.toml:7:8: error: [prune] keep of axis 'heads' is not a size it can give; got 3; expected a multiple of 2 up "
        "to 4 (nearest: 2, 4)\n1 error");
}

TEST_CASE("without a budget every point is a candidate, the largest first; names say the searched axes only") {
  const Searched searched({"axis = \"ffn\"\nkeep = 24", "axis = \"layers\""},
                          "axes = [ { axis = \"layers\", keep = [2, 4] } ]\n");
  const Candidates all = searched.candidates(small_llama());
  REQUIRE(all.list.size() == 2);
  CHECK(all.list[0].name == "layers4");
  CHECK(all.list[1].name == "layers2");
  CHECK(all.list[0].keep == std::vector<std::int64_t>{24, 4});
  CHECK(all.list[0].student.layers.front().ffn == 24);
}
