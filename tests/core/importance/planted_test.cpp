// SPDX-License-Identifier: Apache-2.0
// Planted structure: small models of every family whose known units do nothing, or do most. Every metric that looks at
// data must find them exactly, wherever it can see them.
#include <algorithm>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include "core/importance/units.hpp"
#include "espalier/testkit/specs.hpp"
#include "plugins/importance/activation.hpp"
#include "plugins/importance/block_influence.hpp"
#include "plugins/importance/fluctuation.hpp"
#include "plugins/importance/loss_drop.hpp"
#include "plugins/importance/taylor.hpp"
#include "plugins/importance/wanda.hpp"
#include "tests/core/importance/tiny.hpp"

using espalier::Model;
using espalier::ModelSpec;
using espalier::Norm;
using espalier::Role;
using espalier::ScoreJob;
using espalier::Scores;
using espalier::Scratch;
using espalier::TokenSource;
using espalier::Weights;
using espalier::plugins::ActivationMetric;
using espalier::plugins::BlockInfluence;
using espalier::plugins::FluctuationMetric;
using espalier::plugins::LossDrop;
using espalier::plugins::TaylorMetric;
using espalier::plugins::WandaMetric;
using espalier::testing::axis_of;
using espalier::testing::job;
using espalier::testing::options_of;
using espalier::testing::random_tokens;

namespace {

using Units = std::vector<std::int64_t>;

// How the planted units differ from the others.
enum class How {
  silent,  // their activations are zero at every tap: all metrics see it
  unread,  // they are active, and the weights that read them are zero: seen by what knows those weights or the loss
  loud,    // all others have small activations, and small weights that read them
};

// Units that outshout the others from above would fill the residual stream: the norms after it hide from a gradient
// what fills it. So the others are made quiet.
constexpr double kQuiet = 0.125;

struct Plant {
  const char* axis;
  How how;
  std::function<Units(const ModelSpec&, std::int64_t layer)> units;  // of an axis that layers share: the same in each
  std::function<void(const ModelSpec&, const Weights&, const Units&)> write;
};

// Rows (dimension 0) or columns (1) of a tensor, times `factor`; nothing where the model lacks the tensor.
void times(const at::Tensor& tensor, std::int64_t dim, const Units& units, double factor) {
  if (!tensor.defined()) return;
  for (const std::int64_t unit : units) tensor.detach().select(dim, unit).mul_(factor);
}

// Units of `width` rows each.
Units spread(const Units& units, std::int64_t width) {
  Units rows;
  for (const std::int64_t unit : units) {
    for (std::int64_t i = 0; i < width; ++i) rows.push_back(unit * width + i);
  }
  return rows;
}

double factor_of(How how) { return how == How::loud ? kQuiet : 0.0; }

Units all_but(const Units& units, std::int64_t count) {
  Units others;
  for (std::int64_t unit = 0; unit < count; ++unit) {
    if (std::find(units.begin(), units.end(), unit) == units.end()) others.push_back(unit);
  }
  return others;
}

void write_neurons(How how, const Weights& w, const Units& units) {
  if (how != How::unread) {
    for (const Role role : {Role::up, Role::up_bias, Role::gate, Role::gate_bias})
      times(w[role], 0, units, factor_of(how));
  }
  if (how != How::silent) times(w[Role::down], 1, units, factor_of(how));
}

// What attention gives is a mean of values: a group is silent or loud as a whole.
void write_groups(How how, const ModelSpec& spec, const Weights& w, const Units& groups) {
  const std::int64_t d = spec.layers.front().head_dim;
  if (how != How::unread) {
    for (const Role role : {Role::v, Role::v_bias}) times(w[role], 0, spread(groups, d), factor_of(how));
  }
  if (how != How::silent) times(w[Role::o], 1, spread(groups, d * spec.layers.front().heads_per_group), factor_of(how));
}

void write_heads(const ModelSpec& spec, const Weights& w, const Units& heads) {  // unread
  times(w[Role::o], 1, spread(heads, spec.layers.front().head_dim), 0.0);
}

void write_channels(How how, const ModelSpec& spec, const Weights& w, const Units& units) {
  const double offset = spec.norm == Norm::layernorm_1p ? 1.0 : 0.0;  // it scales by weight + 1
  for (const Role role : {Role::attn_norm, Role::mlp_norm, Role::attn_norm_bias, Role::mlp_norm_bias}) {
    if (how == How::unread || !w[role].defined()) continue;
    const bool bias = role == Role::attn_norm_bias || role == Role::mlp_norm_bias;
    for (const std::int64_t unit : units) {
      const at::Tensor one = w[role].detach().select(0, unit);
      one.copy_(bias ? one * factor_of(how) : (one + offset) * factor_of(how) - offset);
    }
  }
  if (how == How::silent) return;
  for (const Role role : {Role::q, Role::k, Role::v, Role::gate, Role::up}) times(w[role], 1, units, factor_of(how));
}

std::vector<Plant> plants() {
  std::vector<Plant> all;
  const auto neurons = [](const ModelSpec&, std::int64_t layer) { return Units{1 + layer, 6, 17 - layer}; };
  const auto channels = [](const ModelSpec&, std::int64_t) { return Units{2, 3, 11, 23}; };
  const auto group = [](const ModelSpec&, std::int64_t layer) { return Units{layer % 2}; };
  const auto heads_of_group = [](const ModelSpec& spec, std::int64_t layer) {
    return spread({layer % 2}, spec.layers.front().heads_per_group);
  };
  for (const How how : {How::silent, How::unread, How::loud}) {
    all.push_back(
        {"ffn", how, neurons, [how](const ModelSpec&, const Weights& w, const Units& u) { write_neurons(how, w, u); }});
    all.push_back({"hidden", how, channels, [how](const ModelSpec& spec, const Weights& w, const Units& u) {
                     write_channels(how, spec, w, u);
                   }});
    all.push_back({"kv_groups", how, group,
                   [how](const ModelSpec& spec, const Weights& w, const Units& u) { write_groups(how, spec, w, u); }});
  }
  all.push_back({"heads", How::silent, heads_of_group, [](const ModelSpec& spec, const Weights& w, const Units& u) {
                   write_groups(How::silent, spec, w, {u.front() / spec.layers.front().heads_per_group});
                 }});
  all.push_back({"heads", How::unread,
                 [](const ModelSpec&, std::int64_t layer) {
                   return Units{layer, 4};
                 },
                 [](const ModelSpec& spec, const Weights& w, const Units& u) { write_heads(spec, w, u); }});
  return all;
}

// Every data-driven metric of a width that sees what is planted.
std::vector<ScoreJob> jobs_for(const Plant& plant) {
  const std::string axis = plant.axis;
  std::vector<ScoreJob> jobs;
  for (const char* samples : {"abs", "square"})
    jobs.push_back(job<TaylorMetric>(axis, "taylor", {{"samples", samples}}));
  for (const char* reduce : {"sum", "l2"}) jobs.push_back(job<WandaMetric>(axis, "wanda", {{"reduce", reduce}}));
  for (const char* kind : {"wifv", "wifn"})
    jobs.push_back(job<FluctuationMetric>(axis, "fluctuation", {{"kind", kind}}));
  // Samples that gain and lose make up for each other: it says nothing of who does most.
  if (plant.how != How::loud) jobs.push_back(job<TaylorMetric>(axis, "taylor", {{"samples", "signed"}}));
  if (plant.how == How::unread) return jobs;
  jobs.push_back(job<FluctuationMetric>(axis, "fluctuation", {{"kind", "ifv"}}));
  for (const char* seq : {"mean", "l2", "var"})
    jobs.push_back(job<ActivationMetric>(axis, "activation", {{"seq", seq}}));
  if (axis == "heads" || axis == "kv_groups")
    jobs.push_back(job<ActivationMetric>(axis, "activation", {{"norm", "channel_then_norm"}}));
  if (axis == "ffn") {
    for (const char* tap : {"pre_activation", "up_output"}) {
      jobs.push_back(job<ActivationMetric>(axis, "activation", {{"tap", tap}}));
      if (plant.how == How::silent) jobs.push_back(job<TaylorMetric>(axis, "taylor", {{"tap", tap}}));
    }
  }
  return jobs;
}

// The units with the `count` lowest (or highest) scores, ascending.
Units extreme(const at::Tensor& scores, std::size_t count, bool highest) {
  Units order(static_cast<std::size_t>(scores.numel()));
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    const float x = scores[a].item<float>(), y = scores[b].item<float>();
    return highest ? x > y : x < y;
  });
  order.resize(count + 1);
  // Not by luck: what is planted is clearly apart.
  const float inside = scores[order[count - 1]].item<float>(), outside = scores[order[count]].item<float>();
  CHECK((highest ? inside > 1.2f * outside : outside > 1.2f * inside));
  order.resize(count);
  std::sort(order.begin(), order.end());
  return order;
}

Model random_model(const char* family) {
  Model model(espalier::testkit::small_spec(family), 8, {at::kFloat, at::kCPU});
  const at::NoGradGuard no_grad;
  for (at::Tensor& tensor : model.tensors()) {  // biases and norms that are not what a fresh model has
    if (tensor.dim() == 1) tensor.add_(at::sin(at::arange(tensor.numel(), at::kFloat) * 1.3f) * 0.2f);
  }
  return model;
}

void check_plant(const char* family, const Plant& plant, const std::vector<TokenSource>& data) {
  Model model = random_model(family);
  const ModelSpec& spec = model.spec();
  const auto layers = static_cast<std::int64_t>(spec.layers.size());
  {
    const at::NoGradGuard no_grad;
    for (std::int64_t l = 0; l < layers; ++l) {
      const Units planted = plant.units(spec, l);
      const std::int64_t all = espalier::units_in(spec, axis_of(plant.axis), l);
      plant.write(spec, model.layer(l), plant.how == How::loud ? all_but(planted, all) : planted);
    }
  }
  const std::vector<ScoreJob> jobs = jobs_for(plant);
  const std::vector<Scores> scores = score(model, jobs, data, options_of(12, 16, 4));
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    for (std::size_t l = 0; l < scores[i].per_layer.size(); ++l) {
      CAPTURE(std::string(plant.axis));
      CAPTURE(static_cast<int>(plant.how));
      CAPTURE(jobs[i].metric + " " + jobs[i].options);
      CAPTURE(l);
      Units planted = plant.units(spec, static_cast<std::int64_t>(l));
      std::sort(planted.begin(), planted.end());
      CHECK(extreme(scores[i].per_layer[l], planted.size(), plant.how == How::loud) == planted);
      if (plant.how == How::loud) continue;
      for (const std::int64_t unit : planted) CHECK(scores[i].per_layer[l][unit].item<float>() == 0.0f);
    }
  }
}

}  // namespace

TEST_CASE("units that do nothing score lowest and units that do most highest, in every family, by every metric") {
  const Scratch scratch;
  const std::vector<TokenSource> data = {random_tokens(scratch, "a", 400, 31, 3)};
  for (const char* family : espalier::testkit::kFamilies) {
    CAPTURE(std::string(family));
    for (const Plant& plant : plants()) check_plant(family, plant, data);
  }
}

TEST_CASE("a layer that does nothing scores lowest, in every family, by every metric of layers") {
  const Scratch scratch;
  const std::vector<TokenSource> data = {random_tokens(scratch, "a", 400, 31, 3)};
  for (const char* family : espalier::testkit::kFamilies) {
    CAPTURE(std::string(family));
    Model model = random_model(family);
    for (const Role role : {Role::o, Role::o_bias, Role::down, Role::down_bias}) {
      const at::Tensor tensor = model.layer(1)[role];
      if (tensor.defined()) tensor.detach().zero_();
    }
    const std::vector<Scores> scores =
        score(model,
              {job<TaylorMetric>("layers", "taylor"), job<TaylorMetric>("layers", "taylor", {{"samples", "square"}}),
               job<TaylorMetric>("layers", "taylor", {{"samples", "signed"}}),
               job<BlockInfluence>("layers", "block_influence")},
              data, options_of(12, 16, 4));
    for (const Scores& one : scores) {
      CHECK(extreme(one.per_layer.front(), 1, false) == Units{1});
      CHECK(one.per_layer.front()[1].item<float>() == 0.0f);
    }
    const Scores dropped = score(model, {job<LossDrop>("layers", "loss_drop")}, data, options_of(12, 16, 4)).front();
    CHECK(dropped.per_layer.front()[1].item<float>() == 0.0f);
  }
}
