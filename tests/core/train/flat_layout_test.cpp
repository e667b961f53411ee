// SPDX-License-Identifier: Apache-2.0
#include "core/train/flat_layout.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/train/optimizer_files.hpp"

namespace {

using espalier::FlatLayout;
using espalier::FlatPiece;

std::vector<at::Tensor> tensors() {
  return {at::zeros({5, 8}), at::zeros({7}, at::kBFloat16), at::zeros({3}), at::zeros({40}, at::kBFloat16)};
}

}  // namespace

TEST_CASE("one rank has all tensors in their order, each on a boundary of 64 bytes, and whole pieces") {
  const FlatLayout layout(tensors(), 1);
  CHECK(layout.regions().size() == 1);
  CHECK(layout.own_size() == 48 + 16 + 16 + 48);
  const std::vector<FlatPiece> pieces = layout.pieces(0);
  REQUIRE(pieces.size() == 4);
  const std::vector<std::int64_t> places = {0, 48, 64, 80}, counts = {40, 7, 3, 40};
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(pieces[i].parameter == i);
    CHECK(pieces[i].begin == 0);
    CHECK(pieces[i].end == counts[i]);
    CHECK(pieces[i].place == places[i]);
    CHECK(layout.offset(i) == places[i]);
  }
}

TEST_CASE("ranks divide each dtype's region, worked by hand for two") {
  // float32: 48 + 16 = 64, parts of 32; bfloat16: 16 + 48 = 64, parts of 32.
  const FlatLayout layout(tensors(), 2);
  REQUIRE(layout.regions().size() == 2);
  CHECK(layout.regions()[0].part == 32);
  CHECK(layout.regions()[1].begin == 64);
  CHECK((layout.regions()[1].dtype == at::kBFloat16));
  CHECK(layout.own_size() == 64);
  const auto text = [&](std::int64_t rank) {
    std::string all;
    for (const FlatPiece& p : layout.pieces(rank))
      all += fmt::format("{}[{},{})@{} ", p.parameter, p.begin, p.end, p.place);
    return all;
  };
  CHECK(text(0) == "0[0,32)@0 1[0,7)@32 3[0,16)@48 ");
  CHECK(text(1) == "0[32,40)@0 2[0,3)@16 3[16,40)@32 ");
}

TEST_CASE("gradients of another dtype are a buffer of their own, each on a boundary of 64 bytes") {
  const FlatLayout layout(tensors(), 1, {at::kFloat, at::kBFloat16, at::kFloat, at::kFloat});
  REQUIRE(layout.regions().size() == 2);
  CHECK(layout.regions()[0].part == 48 + 16 + 48);
  CHECK(layout.regions()[1].part == 32);
  CHECK((layout.regions()[1].gradients == at::kBFloat16));
  const std::vector<at::Tensor> buffer = {at::arange(112).to(at::kFloat), at::arange(32).to(at::kBFloat16)};
  CHECK(layout.view(buffer, 1)[0].item<float>() == 0.0F);
  CHECK(layout.view(buffer, 3)[0].item<float>() == 64.0F);
  CHECK(layout.view(buffer, 0).sizes() == at::IntArrayRef({5, 8}));
  std::string places;
  for (const FlatPiece& p : layout.pieces(0)) places += fmt::format("{}@{} ", p.parameter, p.place);
  CHECK(places == "0@0 2@48 3@64 1@112 ");
}

TEST_CASE("for any number of ranks every element has one owner and one place") {
  for (std::int64_t ranks = 1; ranks <= 9; ++ranks) {
    CAPTURE(ranks);
    const FlatLayout layout(tensors(), ranks, {at::kFloat, at::kFloat, at::kFloat, at::kBFloat16});
    std::vector<at::Tensor> owners;
    for (const at::Tensor& tensor : tensors()) owners.push_back(at::zeros({tensor.numel()}, at::kLong));
    for (std::int64_t rank = 0; rank < ranks; ++rank) {
      at::Tensor places = at::zeros({layout.own_size()}, at::kLong);
      for (const FlatPiece& piece : layout.pieces(rank)) {
        owners[piece.parameter].narrow(0, piece.begin, piece.count()).add_(1);
        places.narrow(0, piece.place, piece.count()).add_(1);
      }
      CHECK(places.max().item<std::int64_t>() <= 1);
    }
    for (const at::Tensor& owner : owners) CHECK(at::equal(owner, at::ones_like(owner)));
  }
}

TEST_CASE("the optimizer's files of a checkpoint are known by their names") {
  using espalier::optimizer_files_with;
  CHECK(optimizer_files_with("optimizer.safetensors") == std::vector<std::string>{"optimizer.safetensors"});
  CHECK(optimizer_files_with("optimizer-00002-of-00002.safetensors") ==
        std::vector<std::string>{"optimizer-00001-of-00002.safetensors", "optimizer-00002-of-00002.safetensors"});
  for (const char* name : {"model.safetensors", "optimizer-00003-of-00002.safetensors", "optimizer-2-of-2.safetensors",
                           "optimizer-00001-of-00001.safetensors", "optimizer-00000-of-00002.safetensors",
                           "../optimizer.safetensors", "optimizer-00001-of-00002.safetensors.old"}) {
    CAPTURE(name);
    CHECK(optimizer_files_with(name).empty());
  }
}
