// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "specs.hpp"

using namespace espalier;
using namespace espalier::test;

TEST_CASE("next_token_nll is the cross entropy of the next token, in any number of chunks") {
  at::manual_seed(1);
  Weights outer;
  // 64 MiB of float32 logits are 419 rows here, so this takes two chunks and a rest.
  outer[Role::head] = at::randn({40000, 4});
  const at::Tensor hidden = at::randn({3, 334, 4}), tokens = at::randint(0, 40000, {3, 334}, at::kLong);
  at::Tensor last;
  const at::Tensor nll = next_token_nll(outer, hidden, tokens, &last);
  CHECK((nll.sizes() == at::IntArrayRef({3, 333})));
  CHECK((last.sizes() == at::IntArrayRef({3, 40000})));
  for (const std::int64_t b : {0, 2}) {
    for (const std::int64_t t : {0, 100, 332}) {
      const at::Tensor row = at::log_softmax(at::linear(hidden[b][t], outer[Role::head]).to(at::kDouble), 0);
      CHECK(nll[b][t].item<double>() == doctest::Approx(-row[tokens[b][t + 1]].item<double>()).epsilon(1e-5));
    }
  }
  CHECK(difference(last[1], at::linear(hidden[1][333], outer[Role::head])) < 1e-5);
}

TEST_CASE("a single position predicts nothing") {
  Weights outer;
  outer[Role::head] = at::randn({9, 4});
  const at::Tensor nll = next_token_nll(outer, at::randn({2, 1, 4}), at::zeros({2, 1}, at::kLong));
  CHECK((nll.sizes() == at::IntArrayRef({2, 0})));
}

TEST_CASE("nll is finite for logits of any size") {
  Weights outer;
  outer[Role::head] = at::tensor({1e30, -1e30}).to(at::kFloat).view({2, 1});
  const at::Tensor hidden = at::tensor({1.0, 1.0, -1.0}).to(at::kFloat).view({1, 3, 1});
  const at::Tensor nll = next_token_nll(outer, hidden, at::tensor({0, 0, 1}).view({1, 3}));
  CHECK(nll[0][0].item<double>() == 0);
  CHECK(std::isfinite(nll[0][1].item<double>()));
}
