// SPDX-License-Identifier: Apache-2.0
// Does the pretended GPU refuse what a GPU refuses, and compute what the CPU computes?
#include <ATen/ATen.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/ops/ops.hpp"

extern "C" void espalier_pretended_gpu_open();
extern "C" void espalier_pretended_gpu_close();

namespace {

const at::TensorOptions kOurs = at::TensorOptions(at::kFloat).device(at::kCUDA, 0);

std::string refusal(const std::function<void()>& act) {
  try {
    act();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

// The signal that ends a process which reads the number at `place`; 0: none does.
int signal_of_reading(const void* place) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);
    [[maybe_unused]] const volatile char got = *static_cast<const volatile char*>(place);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

at::Tensor noise(at::IntArrayRef shape) {
  static at::Generator generator = at::detail::createCPUGenerator(3);
  return at::randn(shape, generator, at::TensorOptions(at::kFloat)).to(at::kBFloat16);
}

bool has_keys() {
  const int key = ::pkey_alloc(0, 0);
  if (key >= 0) ::pkey_free(key);
  return key >= 0;
}

}  // namespace

TEST_CASE("tensors of different devices do not go together, but for scalars") {
  const at::Tensor ours = at::ones({2, 3}, kOurs), theirs = at::ones({3});
  const std::string same =
      "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu";
  CHECK(refusal([&] { ours + theirs; }).find(same) != std::string::npos);
  CHECK(refusal([&] { at::mm(ours, theirs.view({3, 1})); }).find(same) != std::string::npos);
  CHECK(refusal([&] { at::cat({ours, theirs.view({1, 3})}); }).find(same) != std::string::npos);
  CHECK(refusal([&] { at::index_select(ours, 1, at::zeros({1}, at::kLong)); }).find(same) != std::string::npos);
  CHECK((ours * at::scalar_tensor(2.0) + 1).sum().item<double>() == 18);
}

TEST_CASE("memory of the device cannot be looked at from outside") {
  if (!has_keys()) {
    MESSAGE("skipped: this CPU cannot lock pages for threads");
    return;
  }
  const at::Tensor ours = at::ones({4}, kOurs);
  CHECK(signal_of_reading(ours.const_data_ptr()) == SIGSEGV);
  espalier_pretended_gpu_open();
  CHECK(signal_of_reading(ours.const_data_ptr()) == 0);
  espalier_pretended_gpu_close();
  CHECK(signal_of_reading(ours.const_data_ptr()) == SIGSEGV);
}

TEST_CASE("operations, views and gradients are the CPU's") {
  const at::Tensor x = at::arange(24, at::kFloat).sin().view({4, 6}), w = at::arange(36, at::kFloat).cos().view({6, 6});
  const auto loss = [](const at::Tensor& a, const at::Tensor& b) {
    return at::log_softmax(at::linear(a, b).view({4, 2, 3}).transpose(0, 1), -1).select(0, 1).square().sum();
  };
  const at::Tensor there = w.to(at::kCUDA).requires_grad_(), here = w.clone().requires_grad_();
  const at::Tensor ours = loss(x.to(at::kCUDA), there), theirs = loss(x, here);
  ours.backward(), theirs.backward();
  CHECK(ours.device().is_cuda());
  CHECK(at::equal(ours.cpu(), theirs));
  CHECK(at::equal(there.grad().cpu(), here.grad()));
  at::Tensor whole = at::zeros({3, 4}, kOurs);
  whole.narrow(1, 1, 2).t().copy_(at::arange(6).view({2, 3}));
  CHECK(at::equal(whole.cpu().select(0, 2), at::tensor({0.0F, 2.0F, 5.0F, 0.0F})));
}

TEST_CASE("its allocator counts as LibTorch's does") {
  c10::DeviceAllocator& allocator = *c10::getDeviceAllocator(at::kCUDA);
  const auto bytes = [&] { return allocator.getDeviceStats(0).allocated_bytes[0]; };
  const std::int64_t before = bytes().current;
  {
    const at::Tensor one = at::empty({100}, kOurs), other = at::empty({128}, kOurs);  // 400 and 512 bytes
    CHECK(bytes().current == before + 1024);
  }
  CHECK(bytes().current == before);
  CHECK(bytes().peak >= before + 1024);
}

TEST_CASE("attention has the kernels of a GPU, and no others") {
  const auto make = [](std::int64_t heads, std::int64_t width) { return noise({2, heads, 5, width}).to(at::kCUDA); };
  const auto attend = [&](std::int64_t heads, std::int64_t groups, std::int64_t width, bool masked) {
    const auto mask = masked ? std::optional(at::zeros({5, 5}, kOurs.dtype(at::kBFloat16))) : std::nullopt;
    return refusal([&] {
      const at::Tensor q = make(heads, width), k = make(groups, width);
      at::scaled_dot_product_attention(q, k, k, mask, 0.0, !masked, std::nullopt, heads != groups);
    });
  };
  const std::string none = "No available kernel";
  CHECK(attend(4, 2, 10, false).empty());
  CHECK(attend(4, 4, 16, true).empty());
  CHECK(attend(4, 2, 16, true).find(none) != std::string::npos);
  CHECK(attend(4, 4, 10, true).find(none) != std::string::npos);
  CHECK(attend(4, 4, 264, false).empty());
  CHECK(attend(4, 2, 264, false).find(none) != std::string::npos);
}

TEST_CASE("the program's attention finds a kernel for every shape, with the values and gradients of the CPU") {
  struct Shape {
    std::int64_t heads, groups, queries, keys, width, window;
  };
  for (const Shape& s :
       {Shape{4, 4, 9, 9, 16, 0}, Shape{4, 2, 9, 9, 10, 0}, Shape{4, 2, 9, 9, 16, 3}, Shape{4, 1, 9, 9, 10, 4},
        Shape{4, 2, 1, 9, 10, 0}, Shape{4, 2, 3, 9, 10, 0}, Shape{4, 2, 3, 9, 16, 2}, Shape{4, 2, 1, 9, 12, 4}}) {
    CAPTURE(s.groups);
    CAPTURE(s.queries);
    CAPTURE(s.width);
    CAPTURE(s.window);
    const at::Tensor q = noise({2, s.heads, s.queries, s.width}), k = noise({2, s.groups, s.keys, s.width}),
                     v = noise({2, s.groups, s.keys, s.width}), way = noise({2, s.heads, s.queries, s.width});
    const auto run = [&](at::Device device, at::ScalarType dtype) {
      std::vector<at::Tensor> leaves;
      for (const at::Tensor& x : {q, k, v}) leaves.push_back(x.to(device, dtype, false, true).requires_grad_());
      const at::Tensor out = espalier::attention(leaves[0], leaves[1], leaves[2], s.window);
      const bool whole = s.queries == s.keys;
      if (whole) (out * way.to(device, dtype)).sum().backward();
      std::vector<at::Tensor> found{out.detach().to(at::kCPU, at::kFloat)};
      for (const at::Tensor& x : leaves) {
        if (whole) found.push_back(x.grad().to(at::kCPU, at::kFloat));
      }
      return found;
    };
    const auto ours = run(at::kCUDA, at::kBFloat16), theirs = run(at::kCPU, at::kFloat);
    // Results are rounded to 8 bits; a gradient is a sum of a dozen numbers near 1 that were rounded before.
    for (std::size_t i = 0; i < ours.size(); ++i) CHECK((ours[i] - theirs[i]).abs().max().item<float>() < 0.05);
  }
}
