// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "plugins/losses/hidden_cosine.hpp"
#include "plugins/losses/hidden_mse.hpp"
#include "tests/plugins/losses/rows.hpp"
#include "tests/plugins/options.hpp"

using espalier::distance;
using espalier::FeatureLoss;
using espalier::FeaturePlan;
using espalier::ModelSpec;
using espalier::TestOptions;
using espalier::text;
using espalier::Value;
using espalier::plugins::HiddenCosineLoss;
using espalier::plugins::HiddenMseLoss;

namespace {

class SeededHost final : public espalier::Host {
 public:
  explicit SeededHost(std::uint64_t seed) : seed_(seed) {}
  std::uint64_t seed() const override { return seed_; }
  void info(const std::string&) const override {}
  void warn(const std::string&) const override {}

 private:
  std::uint64_t seed_;
};

template <class T>
std::unique_ptr<FeatureLoss> feature_loss(TestOptions options = {}, std::uint64_t seed = 1) {
  return std::make_unique<T>(espalier::parse_options<typename T::Options>(options), SeededHost(seed));
}

ModelSpec model(std::int64_t hidden, std::size_t layers) {
  ModelSpec spec;
  spec.hidden = hidden;
  spec.layers.resize(layers);
  return spec;
}

at::Tensor states(std::int64_t rows, std::int64_t width, double phase) {
  return at::sin(at::arange(rows * width, at::kDouble) * 1.3 + phase).view({rows, width});
}

at::Tensor matrix(std::vector<double> numbers, std::int64_t columns) {
  return at::tensor(numbers, at::kDouble).view({-1, columns});
}

const std::vector<at::Tensor> kNone;

}  // namespace

TEST_CASE("hidden_cosine and hidden_mse by hand") {
  const at::Tensor student = matrix({1, 0, 3, 4, -2, -2}, 2), teacher = matrix({1, 1, 6, 8, 1, 1}, 2);
  const at::Tensor cosine = feature_loss<HiddenCosineLoss>()->forward({0, student, teacher, kNone});
  CHECK(distance(cosine, at::tensor({1.0 - std::sqrt(0.5), 0.0, 2.0}, at::kDouble)) < 1e-15);
  const at::Tensor mse = feature_loss<HiddenMseLoss>()->forward({0, student, teacher, kNone});
  CHECK(distance(mse, at::tensor({0.5, 12.5, 9.0}, at::kDouble)) < 1e-15);
}

TEST_CASE("hidden_cosine's gradient is that of the formula") {
  const at::Tensor u = states(5, 6, 0.0).requires_grad_(), v = states(5, 6, 1.0);
  feature_loss<HiddenCosineLoss>()->forward({0, u, v, kNone}).sum().backward();
  const at::Tensor x = u.detach(), nu = x.norm(2, {-1}, true), nv = v.norm(2, {-1}, true);
  const at::Tensor c = (x * v).sum(-1, true) / (nu * nv);
  CHECK(distance(u.grad(), -(v / (nu * nv) - c * x / (nu * nu))) < 1e-14);
}

TEST_CASE("a projector maps the student's width, and its gradients equal finite differences") {
  for (const bool cosine : {true, false}) {
    CAPTURE(cosine);
    const auto loss = cosine ? feature_loss<HiddenCosineLoss>() : feature_loss<HiddenMseLoss>();
    const at::Tensor student = states(5, 3, 0.0), teacher = states(5, 4, 1.0);
    std::vector<at::Tensor> parameters = {states(4, 3, 2.0), states(1, 4, 3.0)[0].contiguous()};
    const auto total = [&](const at::Tensor& rows, const std::vector<at::Tensor>& with) {
      return loss->forward({0, rows, teacher, with}).sum();
    };
    std::vector<at::Tensor> leaves = {student.clone().requires_grad_(), parameters[0].clone().requires_grad_(),
                                      parameters[1].clone().requires_grad_()};
    const at::Tensor projected = student.matmul(parameters[0].t()) + parameters[1];
    CHECK(distance(loss->forward({0, student, teacher, parameters}), loss->forward({0, projected, teacher, kNone})) <
          1e-14);
    total(leaves[0], {leaves[1], leaves[2]}).backward();
    for (std::size_t which = 0; which < leaves.size(); ++which) {
      CAPTURE(which);
      const std::vector<at::Tensor> values = {student, parameters[0], parameters[1]};
      at::Tensor expected = at::zeros_like(values[which]);
      for (std::int64_t i = 0; i < expected.numel(); ++i) {
        const auto moved = [&](double step) {
          std::vector<at::Tensor> copy = {values[0].clone(), values[1].clone(), values[2].clone()};
          copy[which].view(-1)[i] += step;
          return total(copy[0], {copy[1], copy[2]}).item<double>();
        };
        expected.view(-1)[i] = (moved(1e-5) - moved(-1e-5)) / 2e-5;
      }
      CHECK(distance(leaves[which].grad(), expected) < 1e-8);
    }
  }
}

TEST_CASE("where the widths agree there is nothing to train; where not, one map for all pairs or one for each") {
  const TestOptions uniform{{"map", text("uniform")}, {"embedding", Value{true}}};
  TestOptions per_pair = uniform;
  per_pair.set("projector", text("per_pair"));
  CHECK(feature_loss<HiddenCosineLoss>(uniform)->plan(model(8, 3), model(8, 6)).parameters.empty());
  CHECK(feature_loss<HiddenCosineLoss>(per_pair)->plan(model(8, 3), model(8, 6)).parameters.empty());

  const FeaturePlan shared = feature_loss<HiddenCosineLoss>(uniform)->plan(model(6, 3), model(8, 6));
  CHECK(shared.pairs.size() == 4);
  REQUIRE(shared.parameters.size() == 2);
  CHECK(shared.parameters[0].sizes() == at::IntArrayRef({8, 6}));
  CHECK(shared.parameters[1].sizes() == at::IntArrayRef({8}));
  const FeaturePlan own = feature_loss<HiddenCosineLoss>(per_pair)->plan(model(6, 3), model(8, 6));
  CHECK(own.pairs.size() == 4);
  REQUIRE(own.parameters.size() == 8);
  CHECK_FALSE(own.parameters[0].equal(own.parameters[2]));
}

TEST_CASE("each pair goes through its own map") {
  const auto loss = feature_loss<HiddenMseLoss>({{"projector", text("per_pair")}});
  const at::Tensor student = states(2, 3, 0.0), teacher = states(2, 4, 1.0);
  std::vector<at::Tensor> maps;
  for (int pair = 0; pair < 3; ++pair) {
    maps.push_back(states(4, 3, pair));
    maps.push_back(states(1, 4, 5.0 + pair)[0].contiguous());
  }
  for (std::int64_t pair = 0; pair < 3; ++pair) {
    const auto first = static_cast<std::size_t>(2 * pair);
    const at::Tensor u = student.matmul(maps[first].t()) + maps[first + 1];
    CHECK(distance(loss->forward({pair, student, teacher, maps}), (u - teacher).square().mean(-1)) < 1e-14);
  }
}

TEST_CASE("initial values are a function of the seed: float32, of the student's size, biases zero") {
  const auto start = [](std::uint64_t seed) {
    return feature_loss<HiddenCosineLoss>({}, seed)->plan(model(96, 4), model(128, 4)).parameters;
  };
  const std::vector<at::Tensor> one = start(7), again = start(7), other = start(8);
  CHECK(one[0].equal(again[0]));
  CHECK_FALSE(one[0].equal(other[0]));
  CHECK((one[0].scalar_type() == at::kFloat));
  CHECK(one[1].abs().max().item<float>() == 0.0f);
  CHECK(one[0].mean().item<double>() == doctest::Approx(0.0).epsilon(0.005));
  CHECK(one[0].square().mean().item<double>() * 96 == doctest::Approx(1.0).epsilon(0.03));
}

TEST_CASE("rows may come in any number: value and gradient of each are those of the formula in float64") {
  const at::Tensor student = states(37, 6, 0.4), teacher = states(37, 5, 1.9);
  const std::vector<at::Tensor> map = {states(5, 6, 2.0), states(1, 5, 3.0)[0].contiguous()};
  for (const bool cosine : {true, false}) {
    CAPTURE(cosine);
    const auto loss = cosine ? feature_loss<HiddenCosineLoss>() : feature_loss<HiddenMseLoss>();
    const at::Tensor u = at::matmul(student, map[0].t()) + map[1], nu = u.norm(2, {-1}, true),
                     nv = teacher.norm(2, {-1}, true), c = (u * teacher).sum(-1, true) / (nu * nv);
    const at::Tensor value = cosine ? (1.0 - c).squeeze(1) : (u - teacher).square().sum(-1) / 5.0;
    const at::Tensor by_u = cosine ? -(teacher / (nu * nv) - c * u / (nu * nu)) : (u - teacher) * (2.0 / 5.0);
    const at::Tensor gradient = at::matmul(by_u, map[0]);
    for (const std::int64_t chunk : {1, 5, 36, 37, 100}) {
      CAPTURE(chunk);
      std::vector<at::Tensor> values, gradients;
      for (std::int64_t begin = 0; begin < 37; begin += chunk) {
        const std::int64_t count = std::min<std::int64_t>(chunk, 37 - begin);
        const at::Tensor rows = student.narrow(0, begin, count).clone().requires_grad_();
        const at::Tensor part = loss->forward({0, rows, teacher.narrow(0, begin, count), map});
        part.sum().backward();
        values.push_back(part.detach());
        gradients.push_back(rows.grad());
      }
      CHECK(distance(at::cat(values), value) < 1e-14);
      CHECK(distance(at::cat(gradients), gradient) < 1e-13);
    }
  }
}

TEST_CASE("a row of zeros is no reason for a gradient without bounds") {
  const at::Tensor student = matrix({0, 0, 1e-30, 0, 1e30, 1e30}, 2).requires_grad_(),
                   teacher = matrix({3, 4, 0, 0, 1, 1}, 2);
  const at::Tensor loss = feature_loss<HiddenCosineLoss>()->forward({0, student, teacher, kNone});
  loss.sum().backward();
  CHECK(at::isfinite(loss).all().item<bool>());
  CHECK(student.grad().abs().max().item<double>() <= 1.0);
}
