// SPDX-License-Identifier: Apache-2.0
// Passes that are recorded and played again. On the CPU a recording does its work again, with the same fixed inputs.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/base/progress.hpp"
#include "core/train/replayed.hpp"
#include "test_device.hpp"
#include "tests/core/train/tiny_run.hpp"

using namespace espalier;
using namespace espalier::test;
using reference::TinyRun;

namespace {

at::Tensor number(double value) { return at::full({2}, value, at::kFloat); }

// A table that cannot record.
std::unique_ptr<Recording> refuse(at::Device, const std::function<void()>&) { fail("no"); }

// The bytes that a training leaves.
std::string trained(const fs::path& folder, bool graph, bool features) {
  ProgressBar::disable();
  TinyRun run(folder, 6);
  run.job.plan.cuda_graph = graph;
  if (features) {
    run.job.feature_losses.push_back(
        {"hidden", 0.5, std::make_unique<reference::ProjectedMse>(std::vector<FeaturePair>{{{0, false}, {1, false}}})});
  }
  train(run.job);
  return reference::outcome(folder, 6);
}

}  // namespace

TEST_CASE("a replayed function computes from the inputs of each call, and sees other shapes plainly") {
  const KernelsOn kernels;
  int calls = 0;
  Replayed twice([&calls](const Replayed::Tensors& in) {
    ++calls;
    return Replayed::Tensors{in[0] * 2 + in[1]};
  });
  for (int i = 0; i < 6; ++i) {
    const at::Tensor got = twice({kernels(number(i)), kernels(number(10 * i))}).front();
    CHECK(at::equal(got.cpu(), number(12 * i)));
  }
  const at::Tensor longer = kernels(at::ones({5}));
  CHECK(at::equal(twice({longer, longer}).front().cpu(), at::full({5}, 3.0, at::kFloat)));
  CHECK(at::equal(twice({kernels(number(1)), kernels(number(1))}).front().cpu(), number(3)));
  if (kernels.device().is_cuda()) CHECK(calls == 4);  // two plain, the recording, the other shape
}

TEST_CASE("without a device that records, and where it fails, every call is a plain one") {
  Replayed plain([](const Replayed::Tensors& in) { return Replayed::Tensors{in[0] + 1}; });
  for (int i = 0; i < 4; ++i) CHECK(at::equal(plain({number(i)}).front(), number(i + 1)));
  DeviceKernels broken{};
  broken.record = refuse;
  register_device_kernels(at::kCPU, &broken);
  Replayed refused([](const Replayed::Tensors& in) { return Replayed::Tensors{in[0] + 1}; });
  for (int i = 0; i < 4; ++i) CHECK(at::equal(refused({number(i)}).front(), number(i + 1)));
  register_device_kernels(at::kCPU, nullptr);
}

TEST_CASE("a training with recorded passes leaves the bytes of one without") {
  const KernelsOn kernels;
  if (kernels.device().is_cuda()) {
    MESSAGE("skipped on a GPU: TinyRun trains on the CPU; e2e/device_test.py has the case there");
    return;
  }
  const reference::TemporaryFolder folder;
  for (const bool features : {false, true}) {
    const std::string name = features ? "features" : "logits";
    const std::string plain = trained(folder.path() / (name + "_plain"), false, features);
    CHECK(plain.size() > 10000);
    CHECK(plain == trained(folder.path() / (name + "_graph"), true, features));
  }
}
