// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <doctest/doctest.h>

#include "core/ops/ops.hpp"
#include "gradcheck.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

at::Tensor plain_rms(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return x * at::rsqrt(x.square().mean(-1, true) + eps) * weight;
}

at::Tensor every_other(std::int64_t width) { return at::arange(width).remainder(2).to(at::kFloat); }

}  // namespace

TEST_CASE("rms_norm is x over the root of its mean square, times weight") {
  at::manual_seed(1);
  for (const std::int64_t width : {1, 7, 16, 33, 128}) {
    const at::Tensor x = at::randn({3, 5, width}), weight = at::randn({width});
    CHECK(difference(rms_norm(x, weight, 1e-5), plain_rms(x, weight, 1e-5)) < 2e-6);
    const at::Tensor turned = at::randn({5, width, 3}).transpose(1, 2);
    CHECK(difference(rms_norm(turned, weight, 1e-5), plain_rms(turned, weight, 1e-5)) < 2e-6);
  }
}

TEST_CASE("gradients of rms_norm agree with finite differences") {
  at::manual_seed(2);
  const auto f = [](const std::vector<at::Tensor>& in) { return rms_norm(in[0], in[1], 1e-5); };
  CHECK(gradient_error(f, {at::randn({2, 3, 5}, at::kDouble), at::randn({5}, at::kDouble)}) < 1e-7);
  const auto turned = [](const std::vector<at::Tensor>& in) { return rms_norm(in[0].transpose(0, 1), in[1], 1e-5); };
  CHECK(gradient_error(turned, {at::randn({6, 70}, at::kDouble), at::randn({6}, at::kDouble)}) < 1e-7);
}

TEST_CASE("float32 gradients of rms_norm agree with those of plain operations over many rows") {
  at::manual_seed(3);
  const auto gradients = [](const auto& f) {
    at::manual_seed(4);
    const at::Tensor x = at::randn({200, 48}).set_requires_grad(true), w = at::randn({48}).set_requires_grad(true);
    return torch::autograd::grad({(f(x, w) * at::randn({200, 48})).sum()}, {x, w});
  };
  const auto ours = gradients([](const auto& x, const auto& w) { return rms_norm(x, w, 1e-6); });
  const auto plain = gradients([](const auto& x, const auto& w) { return plain_rms(x, w, 1e-6); });
  CHECK(difference(ours[0], plain[0]) < 1e-5);
  CHECK(difference(ours[1], plain[1]) < 1e-4);
}

TEST_CASE("norms over kept channels equal norms of the kept channels alone, and leave the others at zero") {
  at::manual_seed(5);
  const at::Tensor kept = every_other(12), index = at::nonzero(kept).squeeze(1);
  const at::Tensor weight = at::randn({12}), bias = at::randn({12});
  for (const bool masked : {true, false}) {
    const at::Tensor x = masked ? at::randn({4, 12}) * kept : at::randn({4, 12});
    const auto narrow = [&](const at::Tensor& t) { return t.index_select(-1, index); };
    const at::Tensor rms = rms_norm(x, weight, 1e-5, kept), layer = layer_norm_1p(x, weight, bias, 1e-5, kept);
    CHECK(difference(narrow(rms), rms_norm(narrow(x), narrow(weight), 1e-5)) < 1e-6);
    CHECK(difference(narrow(layer), layer_norm_1p(narrow(x), narrow(weight), narrow(bias), 1e-5)) < 2e-6);
    CHECK((rms * (1 - kept)).abs().max().item<float>() == 0);
    CHECK((layer * (1 - kept)).abs().max().item<float>() == 0);
  }
}

TEST_CASE("layer_norm_1p scales by weight + 1") {
  at::manual_seed(6);
  const at::Tensor x = at::randn({3, 9}), zero = at::zeros({9});
  const at::Tensor unit = layer_norm_1p(x, zero, zero, 1e-5);
  CHECK(difference(layer_norm_1p(x, zero + 1, zero + 3, 1e-5), unit * 2 + 3) < 1e-6);
  CHECK(unit.mean(-1).abs().max().item<float>() < 1e-6);
  const auto f = [](const std::vector<at::Tensor>& in) { return layer_norm_1p(in[0], in[1], in[2], 1e-5); };
  const auto random = [](at::IntArrayRef shape) { return at::randn(shape, at::kDouble); };
  CHECK(gradient_error(f, {random({4, 5}), random({5}), random({5})}) < 1e-7);
  const auto over_kept = [](const std::vector<at::Tensor>& in) {
    return layer_norm_1p(in[0], in[1], in[2], 1e-5, every_other(5));
  };
  CHECK(gradient_error(over_kept, {random({4, 5}), random({5}), random({5})}) < 1e-7);
}

TEST_CASE("norms stay finite for zero, tiny and huge rows") {
  const at::Tensor x = at::tensor({0.0, 1e-30, 1e30, -3e38}).to(at::kFloat).unsqueeze(1).expand({4, 8}).contiguous();
  at::Tensor leaf = x.clone().set_requires_grad(true);
  const at::Tensor y = rms_norm(leaf, at::ones({8}), 1e-6);
  CHECK(y.isfinite().all().item<bool>());
  CHECK(torch::autograd::grad({y.sum()}, {leaf})[0].isfinite().all().item<bool>());
  CHECK(rms_norm(x, at::ones({8}), 1e-6, every_other(8)).isfinite().all().item<bool>());
}

TEST_CASE("bfloat16 norms take their statistics in float32") {
  at::manual_seed(7);
  const at::Tensor x = at::randn({6, 64}).to(at::kBFloat16), weight = at::randn({64}).to(at::kBFloat16);
  const at::Tensor exact = plain_rms(x.to(at::kDouble), weight.to(at::kDouble), 1e-6);
  CHECK((rms_norm(x, weight, 1e-6).scalar_type() == at::kBFloat16));
  CHECK(difference(rms_norm(x, weight, 1e-6), exact) < 0.05);
}

TEST_CASE("results of rms_norm do not depend on the number of threads") {
  at::manual_seed(8);
  const at::Tensor x = at::randn({333, 40}).set_requires_grad(true), w = at::randn({40}).set_requires_grad(true);
  const auto run = [&] {
    const at::Tensor y = rms_norm(x, w, 1e-6);
    std::vector<at::Tensor> all = torch::autograd::grad({y.square().sum()}, {x, w});
    all.push_back(y);
    return all;
  };
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = run();
  at::set_num_threads(3);
  const auto three = run();
  at::set_num_threads(threads);
  for (std::size_t i = 0; i < one.size(); ++i) CHECK(at::equal(one[i], three[i]));
}
