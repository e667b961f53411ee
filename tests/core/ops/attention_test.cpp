// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <doctest/doctest.h>

#include "core/ops/cpu_simd.hpp"
#include "core/ops/ops.hpp"
#include "gradcheck.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

// The definition, with keys and values repeated for the heads of a group.
at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t window) {
  const std::int64_t positions = q.size(2), repeat = q.size(1) / k.size(1);
  const at::Tensor keys = k.repeat_interleave(repeat, 1), values = v.repeat_interleave(repeat, 1);
  at::Tensor scores = at::matmul(q, keys.transpose(2, 3)) / std::sqrt(static_cast<double>(q.size(3)));
  at::Tensor allowed = at::ones({positions, positions}, at::kBool).tril();
  if (window > 0) allowed = at::logical_and(allowed, at::ones({positions, positions}, at::kBool).triu(1 - window));
  scores = scores.masked_fill(at::logical_not(allowed), -INFINITY);
  return at::matmul(at::softmax(scores, -1), values);
}

struct Inputs {
  at::Tensor q, k, v;
};

Inputs random(std::int64_t heads, std::int64_t groups, std::int64_t positions, std::int64_t head_dim,
              at::ScalarType dtype = at::kFloat) {
  const auto make = [&](std::int64_t n) { return at::randn({2, positions, n, head_dim}, dtype).transpose(1, 2); };
  return {make(heads), make(groups), make(groups)};
}

}  // namespace

TEST_CASE("attention is causal softmax attention with grouped keys") {
  at::manual_seed(1);
  for (const auto& [heads, groups] : {std::pair{4, 4}, std::pair{4, 2}, std::pair{6, 1}}) {
    for (const std::int64_t positions : {1, 2, 31, 130}) {
      const Inputs in = random(heads, groups, positions, 10);
      CHECK(difference(attention(in.q, in.k, in.v, 0), plain_attention(in.q, in.k, in.v, 0)) < 5e-6);
    }
  }
}

TEST_CASE("a sliding window of w keys counts the query itself") {
  at::manual_seed(2);
  for (const std::int64_t window : {1, 2, 5, 30, 31, 32, 100}) {
    const Inputs in = random(4, 2, 31, 6);
    CHECK(difference(attention(in.q, in.k, in.v, window), plain_attention(in.q, in.k, in.v, window)) < 5e-6);
  }
  const Inputs in = random(2, 2, 9, 4);
  CHECK(difference(attention(in.q, in.k, in.v, 1), in.v) < 1e-6);
}

TEST_CASE("queries of the last positions get what they get among all") {
  at::manual_seed(6);
  for (const auto& [heads, groups] : {std::pair{4, 4}, std::pair{4, 2}, std::pair{6, 1}}) {
    for (const std::int64_t window : {0, 1, 4, 31}) {
      const Inputs in = random(heads, groups, 31, 6);
      for (const std::int64_t last : {1, 2, 9, 30}) {
        const at::Tensor q = in.q.narrow(2, 31 - last, last);
        const at::Tensor all = plain_attention(in.q, in.k, in.v, window).narrow(2, 31 - last, last);
        CHECK(difference(attention(q, in.k, in.v, window), all) < 5e-6);
      }
    }
  }
}

TEST_CASE("gradients of attention agree with those of the definition, windowed or not") {
  for (const std::int64_t window : {0, 3}) {
    for (const std::int64_t groups : {1, 2, 4}) {
      const auto gradients = [&](const auto& f) {
        at::manual_seed(3);
        Inputs in = random(4, groups, 70, 6);
        for (at::Tensor* t : {&in.q, &in.k, &in.v}) *t = t->contiguous().set_requires_grad(true);
        const at::Tensor y = f(in.q, in.k, in.v, window);
        return torch::autograd::grad({(y * at::randn(y.sizes())).sum()}, {in.q, in.k, in.v});
      };
      const auto ours = gradients(attention), same = gradients(plain_attention);
      for (std::size_t i = 0; i < 3; ++i) CHECK(difference(ours[i], same[i]) < 3e-5);
    }
  }
}

TEST_CASE("gradients of attention in float64 agree with finite differences") {
  at::manual_seed(4);
  const Inputs in = random(2, 1, 5, 4, at::kDouble);
  const auto f = [](const std::vector<at::Tensor>& x) { return attention(x[0], x[1], x[2], 0); };
  CHECK(gradient_error(f, {in.q.contiguous(), in.k.contiguous(), in.v.contiguous()}) < 1e-6);
}

TEST_CASE("attention stays finite when scores are huge") {
  at::manual_seed(5);
  const Inputs in = random(2, 2, 40, 8);
  for (const std::int64_t window : {0, 4}) {
    const at::Tensor q = (in.q * 1e15).requires_grad_(), y = attention(q, in.k * 1e15, in.v, window);
    CHECK(y.isfinite().all().item<bool>());
    CHECK(torch::autograd::grad({y.sum()}, {q})[0].isfinite().all().item<bool>());
  }
}

TEST_CASE("long sequences, windows beyond a tile and any head size agree with the definition on every vector width") {
  const cpu::Width widest = cpu::width();
  for (const cpu::Width width : {cpu::Width::base, cpu::Width::avx2, cpu::Width::avx512}) {
    if (width > widest) continue;  // this CPU lacks it
    cpu::width() = width;
    CAPTURE(static_cast<int>(width));
    for (const auto& [positions, head_dim, window] :
         {std::tuple{600, 32, 0}, std::tuple{600, 20, 290}, std::tuple{531, 65, 33}, std::tuple{64, 128, 0}}) {
      const auto gradients = [&](const auto& f) {
        at::manual_seed(7);
        const Inputs in = random(4, 2, positions, head_dim);
        const at::Tensor q = in.q.detach().requires_grad_(), k = in.k.detach().requires_grad_(),
                         v = in.v.detach().requires_grad_();
        const at::Tensor y = f(q, k, v, window);
        std::vector<at::Tensor> all = torch::autograd::grad({(y * at::randn(y.sizes())).sum()}, {q, k, v});
        all.push_back(y.detach());
        return all;
      };
      // Sums of up to 600 float32 products and as many exponentials in another order.
      const auto ours = gradients(attention), same = gradients(plain_attention);
      for (std::size_t i = 0; i < ours.size(); ++i) CHECK(difference(ours[i], same[i]) < 5e-5);
    }
  }
  cpu::width() = widest;
}

TEST_CASE("a token's attention has the same bytes whatever follows it, and on any number of threads") {
  at::manual_seed(8);
  const Inputs in = random(4, 2, 700, 24);
  const auto first = [](const at::Tensor& x, std::int64_t count) { return x.narrow(2, 0, count); };
  const int threads = at::get_num_threads();
  for (const std::int64_t window : {0, 100}) {
    const at::Tensor all = attention(in.q, in.k, in.v, window);
    for (const std::int64_t count : {5, 33, 299}) {
      CHECK(
          at::equal(attention(first(in.q, count), first(in.k, count), first(in.v, count), window), first(all, count)));
    }
    at::set_num_threads(threads == 1 ? 2 : 1);
    CHECK(at::equal(attention(in.q, in.k, in.v, window), all));
    at::set_num_threads(threads);
  }
}
