// SPDX-License-Identifier: Apache-2.0
// Every rank runs all cases under mpirun. What one rank would do, each rank does by itself beside it, with alone().
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <signal.h>

#include "core/base/interrupt.hpp"
#include "core/base/progress.hpp"
#include "core/checkpoint/safetensors.hpp"
#include "core/train/optimizer.hpp"
#include "core/train/train_checkpoint.hpp"
#include "tests/core/train/tiny_run.hpp"
#include "tests/support/ranks.hpp"

namespace {

namespace fs = espalier::fs;
namespace reference = espalier::reference;
using espalier::AdamW;
using espalier::alone;
using espalier::Comm;
using reference::TinyRun;

// One folder that all ranks see, and that rank 0 removes.
class SharedFolder {
 public:
  SharedFolder() {
    if (ranks().leads()) own_.emplace();
    path_ = ranks().broadcast_text(own_ ? own_->path().string() : "", 0);
  }
  ~SharedFolder() { ranks().barrier(); }
  fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::optional<reference::TemporaryFolder> own_;
  fs::path path_;
};

const std::vector<espalier::FeaturePair> kStates = {{{-1, true}, {-1, true}}, {{1, true}, {1, true}}};

// Micro-batches of one sequence, so that 12 divide over 2 and 3 ranks.
constexpr std::int64_t kBatch = 12;

struct Dtypes {
  at::ScalarType weights = at::kFloat, gradients = at::kFloat;
  bool narrow() const { return weights == at::kBFloat16; }
};
const Dtypes kDtypes[] = {{}, {at::kBFloat16, at::kFloat}, {at::kBFloat16, at::kBFloat16}};

std::unique_ptr<TinyRun> tiny_run(const fs::path& folder, std::int64_t steps, Comm& comm, const Dtypes& dtypes = {}) {
  espalier::ProgressBar::disable();
  // Inputs lie beside the run, each rank's own, so that no rank reads what another is writing.
  auto run = std::make_unique<TinyRun>(folder / fmt::format("inputs{}", ranks().rank()), steps, false);
  run->teacher = espalier::Model(reference::tiny_spec(24, false), 1, {dtypes.weights, at::kCPU});
  run->student = espalier::Model(reference::tiny_spec(16, false), 2, {dtypes.weights, at::kCPU});
  run->job.plan.gradients = dtypes.gradients;
  run->job.comm = &comm;
  run->job.plan.global_batch = kBatch;
  run->job.plan.micro_batch = 1;
  run->job.checkpoints = folder / "checkpoints";
  run->job.metrics = folder / "metrics.jsonl";
  return run;
}

std::vector<at::Tensor> trained(const fs::path& folder, std::int64_t steps, Comm& comm, const Dtypes& dtypes = {}) {
  const auto run = tiny_run(folder, steps, comm, dtypes);
  espalier::train(run->job);
  std::vector<at::Tensor> tensors;
  for (const at::Tensor& tensor : run->student.tensors()) tensors.push_back(tensor.detach().to(at::kFloat).clone());
  return tensors;
}

double largest_difference(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double largest = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, (a[i] - b[i]).abs().max().item<double>());
  }
  return largest;
}

// What a checkpoint holds, put together: every tensor of the model, and its moments by name.
std::map<std::string, at::Tensor> moments_of(const fs::path& folder) {
  std::map<std::string, std::vector<std::pair<std::int64_t, at::Tensor>>> pieces;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!entry.path().filename().string().starts_with("optimizer")) continue;
    const espalier::SafetensorsFile file(entry.path());
    const bool whole = !file.metadata().contains("pieces");
    const auto begins = whole ? nlohmann::json() : nlohmann::json::parse(file.metadata().at("pieces"));
    for (const espalier::TensorInfo& info : file.tensors()) {
      const std::string name = info.name.substr(info.name.find('.') + 1);
      const std::int64_t begin = whole ? 0 : begins.at(name).get<std::int64_t>();
      pieces[info.name].emplace_back(begin, file.tensor(info).flatten().clone());
    }
  }
  std::map<std::string, at::Tensor> whole;
  for (auto& [name, list] : pieces) {
    std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<at::Tensor> parts;
    std::int64_t end = 0;
    for (const auto& [begin, part] : list) {
      CHECK(begin == end);  // no hole, no overlap
      end += part.numel();
      parts.push_back(part);
    }
    whole[name] = at::cat(parts);
  }
  return whole;
}

bool same_state(const fs::path& a, const fs::path& b) {
  const auto first = moments_of(a), second = moments_of(b);
  if (first.size() != second.size()) return false;
  for (const auto& [name, tensor] : first) {
    if (!at::equal(tensor, second.at(name))) return false;
  }
  return reference::bytes_of(a / "model.safetensors") == reference::bytes_of(b / "model.safetensors");
}

double mean_difference(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double sum = 0.0;
  std::int64_t count = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += (a[i] - b[i]).abs().sum().item<double>();
    count += a[i].numel();
  }
  return sum / static_cast<double>(count);
}

}  // namespace

TEST_CASE("an optimizer that ranks share steps as one that sees all gradients does") {
  Comm& comm = ranks();
  const auto noise = [](at::IntArrayRef shape, std::uint64_t seed) {
    auto generator = at::detail::createCPUGenerator(seed);
    return at::randn(shape, generator, at::kFloat);
  };
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const auto parameters = [&] {
      return std::vector<at::Tensor>{noise({7, 9}, 1).to(dtype).requires_grad_(),
                                     noise({5}, 2).to(dtype).requires_grad_(), noise({3, 11}, 3).requires_grad_(),
                                     noise({1}, 4).to(dtype).requires_grad_()};
    };
    const std::vector<at::Tensor> whole = parameters(), shared = parameters();
    AdamW one(whole, {.weight_decay = 0.3}), many(shared, {.weight_decay = 0.3}, comm);
    for (AdamW* optimizer : {&one, &many}) {
      optimizer->begin_with([&](std::size_t i) { return noise(whole[i].sizes(), i + 1); });
      for (std::size_t i = 0; i < whole.size(); ++i)
        CHECK(at::equal(optimizer->whole_weight(i), noise(whole[i].sizes(), i + 1)));
    }
    for (int t = 0; t < 4; ++t) {
      one.zero_gradients();
      many.zero_gradients();
      for (std::size_t i = 0; i < whole.size(); ++i) {
        for (std::int64_t rank = 0; rank < comm.size(); ++rank) {
          const auto seed = static_cast<std::uint64_t>(1000 * t) + 10 * i + static_cast<std::uint64_t>(rank);
          one.gradient(i).add_(noise(whole[i].sizes(), 100 + seed));
          if (rank == comm.rank()) many.gradient(i).copy_(noise(whole[i].sizes(), 100 + seed));
        }
      }
      one.reduce_gradients();
      many.reduce_gradients();
      at::Tensor squares = many.gradient_squares().reshape({1});
      comm.all_reduce(squares);
      CHECK(squares.item<double>() == doctest::Approx(one.gradient_squares().item<double>()).epsilon(2e-6));
      one.step(0.1, 0.5);
      many.step(0.1, 0.5);
    }
    for (std::size_t i = 0; i < whole.size(); ++i) {
      // Vector code and its tail round differently by a few units of the last place, and pieces begin elsewhere.
      CHECK(at::allclose(many.whole_weight(i), one.whole_weight(i), 1e-6, 1e-6));
      CHECK((shared[i].scalar_type() == whole[i].scalar_type()));
    }
    std::int64_t kept = 0, all = 0;
    for (const at::Tensor& moment : many.first_moments()) kept += moment.numel();
    for (const at::Tensor& parameter : whole) all += parameter.numel();
    CHECK(kept < all);  // nobody keeps everything
  }
}

TEST_CASE("ranks train what one rank trains, to the rounding of the sum's order, and repeat their bytes") {
  for (const Dtypes& dtypes : kDtypes) {
    const bool narrow = dtypes.narrow();
    CAPTURE(narrow);
    const SharedFolder folder;
    const auto own = fmt::format("one{}", ranks().rank());
    const auto one = trained(folder / own, 6, alone(), dtypes);
    const auto many = trained(folder / "many", 6, ranks(), dtypes);
    // Weights are about 0.25 and move by up to 0.03; bfloat16 has a spacing of 0.001 there. Where gradients are summed
    // in it, one near 0 may have the other sign, and AdamW then steps the other way: that shows in few weights.
    const bool rounded = dtypes.gradients == at::kBFloat16;
    CHECK(largest_difference(one, many) < (rounded ? 3e-2 : narrow ? 4e-3 : 2e-5));
    CHECK(mean_difference(one, many) < (rounded ? 3e-4 : narrow ? 1e-4 : 1e-7));
    const auto again = trained(folder / "again", 6, ranks(), dtypes);
    CHECK(largest_difference(many, again) == 0.0);
    const auto expected = reference::lines_of(folder / own / "metrics.jsonl"),
               got = reference::lines_of(folder / "many" / "metrics.jsonl");
    REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      for (const char* key : {"loss", "kl", "ce", "grad_norm"}) {
        CHECK(got[i].at(key).get<double>() ==
              doctest::Approx(expected[i].at(key).get<double>()).epsilon(narrow ? 2e-2 : 1e-5));
      }
    }
    CHECK(reference::timeless(folder / "many" / "metrics.jsonl") ==
          reference::timeless(folder / "again" / "metrics.jsonl"));
    CHECK(same_state(folder / "many" / "checkpoints" / "iter_0000006",
                     folder / "again" / "checkpoints" / "iter_0000006"));
  }
}

TEST_CASE("checkpoints of several ranks go on on one, and back, with the same state") {
  for (const Dtypes& dtypes : kDtypes) {
    const bool narrow = dtypes.narrow();
    CAPTURE(narrow);
    const SharedFolder folder;
    trained(folder / "run", 4, ranks(), dtypes);
    const fs::path saved = folder / "run" / "checkpoints" / "iter_0000004";
    CHECK(fs::exists(saved / fmt::format("optimizer-00001-of-{:05}.safetensors", ranks().size())));
    ranks().barrier();
    // One rank: loads, and saves the same state in its own form.
    const fs::path copy = folder / "copy";
    if (ranks().leads()) {
      fs::create_directories(copy);
      fs::copy(folder / "run" / "checkpoints", copy / "checkpoints", fs::copy_options::recursive);
      const auto run = tiny_run(copy, 4, alone(), dtypes);
      const auto names = [&] {
        std::vector<std::string> list;
        for (const espalier::Parameter& parameter : run->student.parameters()) list.push_back(parameter.name);
        return list;
      }();
      run->student.set_requires_grad(true);
      AdamW optimizer(run->student.tensors(), {});
      espalier::TrainCheckpoints checkpoints(copy / "checkpoints", names, 9);
      const auto state = checkpoints.load(optimizer);
      REQUIRE(state.has_value());
      checkpoints.save({5, state->tokens, 0.0}, optimizer);
      CHECK(fs::exists(copy / "checkpoints" / "iter_0000005" / "optimizer.safetensors"));
      CHECK(same_state(saved, copy / "checkpoints" / "iter_0000005"));
      fs::rename(copy / "checkpoints" / "iter_0000005", copy / "one");
      fs::remove_all(copy / "checkpoints");
      fs::create_directories(copy / "checkpoints");
      fs::rename(copy / "one", copy / "checkpoints" / "iter_0000005");
    }
    ranks().barrier();
    // All ranks: load what the one has saved.
    const auto run = tiny_run(folder / "back", 4, ranks(), dtypes);
    std::vector<std::string> names;
    for (const espalier::Parameter& parameter : run->student.parameters()) names.push_back(parameter.name);
    run->student.set_requires_grad(true);
    AdamW optimizer(run->student.tensors(), {}, ranks());
    espalier::TrainCheckpoints checkpoints(copy / "checkpoints", names, 9, 0, 0, ranks());
    REQUIRE(checkpoints.load(optimizer).has_value());
    checkpoints.save({6, 0, 0.0}, optimizer);
    CHECK(same_state(saved, copy / "checkpoints" / "iter_0000006"));
    ranks().barrier();
  }
}

TEST_CASE("a run that stops on ranks ends with the bytes of one that did not") {
  const SharedFolder folder;
  trained(folder / "whole", 6, ranks());
  struct Crash {};
  for (const std::int64_t stop : {1, 4, 5}) {
    const auto run = tiny_run(folder / "broken", 6, ranks());
    run->job.plan.save_every = 2;
    run->job.on_step = [stop](std::int64_t step) {
      if (step == stop) throw Crash();
    };
    CHECK_THROWS_AS(espalier::train(run->job), Crash);
    ranks().barrier();
  }
  trained(folder / "broken", 6, ranks());
  const fs::path last = "checkpoints/iter_0000006";
  CHECK(same_state(folder / "whole" / last, folder / "broken" / last));
  CHECK(reference::timeless(folder / "whole" / "metrics.jsonl") ==
        reference::timeless(folder / "broken" / "metrics.jsonl"));
}

TEST_CASE("a damaged part of any rank makes all pass over the checkpoint") {
  for (std::int64_t damaged = 0; damaged < ranks().size(); ++damaged) {
    CAPTURE(damaged);
    const SharedFolder folder;
    {
      const auto run = tiny_run(folder / "run", 4, ranks());
      run->job.plan.save_every = 2;
      espalier::train(run->job);
    }
    if (ranks().leads()) {
      const fs::path file = folder / "run" / "checkpoints" / "iter_0000004" /
                            fmt::format("optimizer-{:05}-of-{:05}.safetensors", damaged + 1, ranks().size());
      std::string bytes = reference::bytes_of(file);
      bytes.back() = static_cast<char>(bytes.back() ^ 1);
      espalier::write_text(file, bytes);
    }
    ranks().barrier();
    const auto run = tiny_run(folder / "run", 4, ranks());
    std::vector<std::int64_t> steps;
    run->job.on_step = [&](std::int64_t step) { steps.push_back(step); };
    espalier::train(run->job);
    CHECK(steps == std::vector<std::int64_t>{3, 4});
  }
}

TEST_CASE("a global batch that does not divide over the ranks is refused by all") {
  const SharedFolder folder;
  const auto run = tiny_run(folder / "run", 1, ranks());
  run->job.plan.global_batch = ranks().size() * 4 + 1;
  CHECK_THROWS_WITH_AS(
      espalier::train(run->job),
      fmt::format("distill: global_batch does not divide over {0} ranks in micro-batches of 1; got {1}; expected a "
                  "multiple of {0}",
                  ranks().size(), ranks().size() * 4 + 1)
          .c_str(),
      espalier::RecipeError);
}

TEST_CASE("losses on hidden states with parameters of their own train on ranks as on one") {
  const SharedFolder folder;
  const auto run = [&](const std::string& name, Comm& comm) {
    const auto tiny = tiny_run(folder / name, 5, comm);
    tiny->job.feature_losses.push_back({"projected", 0.5, std::make_unique<reference::ProjectedMse>(kStates)});
    tiny->job.plan.dynamic_balance = true;
    espalier::train(tiny->job);
    const espalier::SafetensorsFile file(folder / name / "checkpoints" / "iter_0000005" / "model.safetensors");
    return file.tensor(*file.find("feature_losses.0.projected.0")).clone();
  };
  const at::Tensor one = run(fmt::format("one{}", ranks().rank()), alone()), many = run("many", ranks());
  CHECK(at::allclose(many, one, 1e-4, 1e-5));
  const at::Tensor start = reference::ProjectedMse(kStates)
                               .plan(reference::tiny_spec(16, false), reference::tiny_spec(24, false))
                               .parameters.front();
  CHECK((many - start).abs().max().item<float>() > 1e-3F);
}

// The last case: the signal stays.
TEST_CASE("a signal on one rank stops all after the same step, with a checkpoint there") {
  const SharedFolder folder;
  espalier::watch_signals();
  const auto run = tiny_run(folder / "run", 6, ranks());
  std::vector<std::int64_t> steps;
  run->job.on_step = [&](std::int64_t step) {
    steps.push_back(step);
    if (step == 2 && ranks().rank() == ranks().size() - 1) ::raise(SIGTERM);
  };
  CHECK_THROWS_WITH_AS(espalier::train(run->job),
                       "distill: stopped by a signal after step 3 of 6; the same command goes on from there",
                       espalier::Interrupted);
  CHECK(steps == std::vector<std::int64_t>{1, 2, 3});
  CHECK(fs::exists(folder / "run" / "checkpoints" / "iter_0000003"));
}
