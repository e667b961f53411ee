// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include <doctest/doctest.h>

#include "tests/examples/loaded.hpp"

using espalier::ModelSpec;
using espalier::Value;
using espalier::testing::Loaded;

namespace {

using Layers = std::vector<std::int64_t>;

ModelSpec with_layers(std::size_t layers) {
  ModelSpec spec;
  spec.layers.resize(layers);
  for (std::size_t i = 0; i < layers; ++i) spec.layers[i].ffn = static_cast<std::int64_t>(i);
  return spec;
}

Layers kept(std::int64_t count_from, std::size_t layers, std::int64_t keep) {
  const auto axis = Loaded::example("every_other").axis("every_other", {{"count_from", Value{count_from}}});
  return axis->select(with_layers(layers), {}, keep).kept.at(0);
}

}  // namespace

TEST_CASE("where 1/p is whole, the layers at the multiples of 1/p go") {
  CHECK(kept(1, 16, 8) == Layers{0, 2, 4, 6, 8, 10, 12, 14});  // the command that the paper's authors published
  CHECK(kept(1, 6, 3) == Layers{0, 2, 4});
  CHECK(kept(1, 6, 4) == Layers{0, 1, 3, 4});
  CHECK(kept(1, 12, 9) == Layers{0, 1, 2, 4, 5, 6, 8, 9, 10});
  CHECK(kept(0, 6, 3) == Layers{1, 3, 5});
  CHECK(kept(0, 6, 4) == Layers{1, 2, 4, 5});
}

TEST_CASE("other rates drop exactly as many layers, gaps differ by at most one") {
  for (const std::int64_t count_from : {0, 1}) {
    for (std::int64_t layers = 1; layers <= 33; ++layers) {
      for (std::int64_t keep = 1; keep <= layers; ++keep) {
        const Layers left = kept(count_from, static_cast<std::size_t>(layers), keep);
        REQUIRE(static_cast<std::int64_t>(left.size()) == keep);
        Layers dropped;
        for (std::int64_t layer = 0, next = 0; layer < layers; ++layer) {
          if (next < keep && left[static_cast<std::size_t>(next)] == layer)
            ++next;
          else
            dropped.push_back(layer);
        }
        if (dropped.empty()) continue;
        CHECK((count_from == 1 ? dropped.back() == layers - 1 : dropped.front() == 0));
        for (std::size_t i = 1; i < dropped.size(); ++i) {
          const std::int64_t gap = dropped[i] - dropped[i - 1],
                             even = layers / static_cast<std::int64_t>(dropped.size());
          CHECK((gap == even || gap == even + 1));
        }
      }
    }
  }
}

TEST_CASE("the spec keeps the layers that were selected") {
  const auto axis = Loaded::example("every_other").axis("every_other");
  const ModelSpec smaller = axis->shrink(with_layers(4), {{{0, 2}}});
  REQUIRE(smaller.layers.size() == 2);
  CHECK(smaller.layers[1].ffn == 2);
  CHECK(axis->extent(with_layers(4)) == 4);
  CHECK_THROWS_WITH(axis->select(with_layers(4), {}, 5), doctest::Contains("got 5; expected a number from 1 to 4"));
}
