// SPDX-License-Identifier: Apache-2.0
#include "core/search/grid.hpp"

#include <ctime>
#include <map>
#include <set>

#include "tests/core/search/searched.hpp"

namespace {

using namespace espalier;
using espalier::test::nemotron_15b;
using espalier::test::Searched;
using espalier::test::shape_of;
using espalier::test::small_llama;

using Shapes = std::map<std::string, std::int64_t>;  // shape → parameters

const std::vector<std::string> kBlocks = {"axis = \"hidden\"", "axis = \"ffn\"", "axis = \"heads\"",
                                          "axis = \"layers\""};

Shapes shapes_of(const Candidates& all) {
  Shapes shapes;
  for (const Candidate& candidate : all.list) shapes[shape_of(candidate.student)] = candidate.counts.parameters;
  return shapes;
}

std::set<std::string> points_of(const Searched& searched, const ModelSpec& spec) {
  std::set<std::string> points;
  for (const Candidate& candidate : searched.candidates(spec).list) points.insert(shape_of(candidate.student));
  return points;
}

}  // namespace

// minitron.md section 4: arXiv 2407.14679 gives the grid and the count (18); the parameters are computed by hand there.
TEST_CASE("the grid of Minitron 4B holds exactly its 18 candidates between 3.8 and 4.2 B") {
  const Searched searched(kBlocks, R"(
axes = [ { axis = "hidden", keep = [2560, 3072, 3584, 4096, 4608] },
         { axis = "ffn", ratio_of = "hidden", keep = [2.5, 3, 3.5, 4] },
         { axis = "heads", keep = [24, 32, 48] },
         { axis = "layers", from = 29, to = 32, step = 1 } ]
budget = [ { by = "parameters", at_least = 3.8e9, at_most = 4.2e9 } ]
)");
  const std::clock_t start = std::clock();
  const Candidates all = searched.candidates(nemotron_15b());
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  CHECK(all.points == 240);
  CHECK(all.left_out == 0);
  CHECK(shapes_of(all) == Shapes{{"31/24/7680/3072", 3'816'155'136},
                                 {"30/32/7680/3072", 3'932'534'784},
                                 {"31/48/10240/2560", 4'074'040'320},
                                 {"32/32/10240/2560", 3'827'635'200},
                                 {"29/24/9216/3072", 3'945'105'408},
                                 {"32/32/7680/3072", 4'089'845'760},
                                 {"29/32/7680/3072", 3'853'879'296},
                                 {"32/48/8960/2560", 3'953'464'320},
                                 {"31/24/9216/3072", 4'108'707'840},
                                 {"31/48/8960/2560", 3'870'878'720},
                                 {"30/48/10240/2560", 3'984'901'120},
                                 {"29/32/9216/3072", 4'127'557'632},
                                 {"32/24/7680/3072", 3'888'519'168},
                                 {"31/32/7680/3072", 4'011'190'272},
                                 {"32/48/10240/2560", 4'163'179'520},
                                 {"29/48/10240/2560", 3'895'761'920},
                                 {"30/24/9216/3072", 4'026'906'624},
                                 {"32/24/9216/3072", 4'190'509'056}});
  CHECK(all.list.front().name == "hidden3072-ffn9216-heads24-layers32");  // the most parameters first
  // Takes a tenth of a second of one core; full plans of the 240 points would take four.
  CHECK(seconds < 2.0);
}

// Table 19 of arXiv 2407.14679, its 4680 read as 4608. 8.494 B is the rounded size of candidate 1 (8,494,131,200).
TEST_CASE("the grid of Minitron 8B holds exactly the 15 candidates that are printed") {
  const Searched searched(kBlocks, R"(
axes = [ { axis = "hidden", keep = [4096, 4608, 5120, 5632, 6144] },
         { axis = "ffn", ratio_of = "hidden", keep = [2.5, 3, 3.5, 4] },
         { axis = "heads", keep = [32, 48] },
         { axis = "layers", from = 29, to = 32 } ]
budget = [ { by = "parameters", at_least = 7.871e9, at_most = 8.4945e9 } ]
)");
  const Candidates all = searched.candidates(nemotron_15b());
  CHECK(all.points == 160);
  CHECK(shapes_of(all) == Shapes{{"32/32/12800/5120", 8'494'131'200},
                                 {"31/32/16128/4608", 8'430'345'216},
                                 {"30/48/13824/4608", 8'163'726'336},
                                 {"32/32/13824/4608", 7'946'707'968},
                                 {"31/48/13824/4608", 8'357'207'040},
                                 {"30/48/16384/4096", 7'885'791'232},
                                 {"32/48/11520/4608", 7'871'210'496},
                                 {"31/48/16384/4096", 8'078'745'600},
                                 {"29/32/12800/5120", 7'943'567'360},
                                 {"32/48/16384/4096", 8'271'699'968},
                                 {"30/32/12800/5120", 8'127'088'640},
                                 {"29/32/16128/4608", 8'038'665'216},
                                 {"31/32/12800/5120", 8'310'609'920},
                                 {"30/32/16128/4608", 8'234'505'216},
                                 {"29/48/13824/4608", 7'970'245'632}});
}

TEST_CASE("a wider window of 7.6 to 8.4 B holds 18 points") {
  const Searched searched(kBlocks, R"(
axes = [ { axis = "hidden", keep = [4096, 4608, 5120, 5632, 6144] },
         { axis = "ffn", ratio_of = "hidden", keep = [2.5, 3, 3.5, 4] },
         { axis = "heads", keep = [32, 48] },
         { axis = "layers", from = 29, to = 32 } ]
budget = [ { by = "parameters", target = 8e9, tolerance = 0.05 } ]
)");
  CHECK(searched.candidates(nemotron_15b()).list.size() == 18);
}

// minitron.md section 7.2.
TEST_CASE("choices by the share removed are Model-Optimizer's") {
  const std::vector<std::int64_t> hidden = sizes_by_share(4480, 256, 0.40);
  CHECK(hidden == std::vector<std::int64_t>{2816, 3072, 3328, 3584, 3840, 4096, 4352, 4480});
  CHECK(sizes_by_share(56, 2, 0.20) == std::vector<std::int64_t>{46, 48, 50, 52, 54, 56});
  CHECK(sizes_by_share(10, 5, 1.0) == std::vector<std::int64_t>{5, 10});
  CHECK(sizes_by_share(10, 5, 0.0) == std::vector<std::int64_t>{10});  // something is always left
}

TEST_CASE("the order of the blocks does not change the points, and fixed blocks stay as they are") {
  const std::string search = R"(
axes = [ { axis = "layers", keep = [3, 4, 3] }, { axis = "heads", max_removed = 0.5 },
         { axis = "hidden", from = 16, to = 32, step = 8 } ]
)";
  const std::set<std::string> expected = {"3/4/24/16", "3/4/24/24", "3/4/24/32", "4/4/24/16", "4/4/24/24", "4/4/24/32"};
  const std::string ffn = "axis = \"ffn\"\nratio = 0.5";
  CHECK(points_of(Searched({"axis = \"layers\"", "axis = \"heads\"", "axis = \"hidden\"", ffn}, search),
                  small_llama()) == expected);
  CHECK(points_of(Searched({ffn, "axis = \"hidden\"", "axis = \"heads\"", "axis = \"layers\""}, search),
                  small_llama()) == expected);
}

TEST_CASE("points from one layer of each kind equal full plans, also where layers differ") {
  ModelSpec spec = small_llama();
  spec.layers[1].ffn = 40;
  spec.layers[2].heads_per_group = 4;
  spec.layers[3] = spec.layers[1];
  const Searched searched({"axis = \"heads\"", "axis = \"ffn\"", "axis = \"hidden\""}, R"(
axes = [ { axis = "heads", keep = [2, 4] }, { axis = "ffn", keep = [8, 40] }, { axis = "hidden", keep = [12, 32] } ]
)");
  for (const Candidate& candidate : searched.candidates(spec).list) {
    CAPTURE(candidate.name);
    std::vector<PruneBlock> blocks = searched.recipe.prune;
    std::vector<PruneStep> steps = searched.steps;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      blocks[i].keep = candidate.keep[i];
      steps[i].block = &blocks[i];
    }
    Diagnostics diagnostics;
    CHECK(make_plan(spec, steps, diagnostics).student == candidate.student);
  }
}

TEST_CASE("multiples of another axis's size are rounded to what the axis can give, and left out beyond its extent") {
  // granularity 8: 1.4 × 20 = 28 → 32 (28 / 8 = 3.5 rounds up), 1.2 × 20 = 24; 1.4 × 32 = 44.8 → 48, all of it;
  // 1.2 × 32 = 38.4 → 40. 2 × 32 = 64 is more than 48.
  const Searched searched({"axis = \"hidden\"", "axis = \"ffn\"\ngranularity = 8"}, R"(
axes = [ { axis = "hidden", keep = [20, 32] }, { axis = "ffn", ratio_of = "hidden", keep = [1.2, 1.4, 2.0] } ]
)");
  const Candidates all = searched.candidates(small_llama());
  std::set<std::string> points;
  for (const Candidate& candidate : all.list) points.insert(candidate.name);
  CHECK(points == std::set<std::string>{"hidden20-ffn24", "hidden20-ffn32", "hidden20-ffn40", "hidden32-ffn40",
                                        "hidden32-ffn48"});
  CHECK(all.left_out == 1);
}
