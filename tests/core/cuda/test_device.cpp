// SPDX-License-Identifier: Apache-2.0
#include "test_device.hpp"

#include <cstdlib>
#include <string>

#include "core/cuda/tensors.hpp"
#include "core/run/device.hpp"

namespace espalier::test {
namespace {

bool on_gpu() {
  const char* device = std::getenv("ESPALIER_TEST_DEVICE");
  return device != nullptr && std::string(device) == "cuda";
}

double unit_of(at::ScalarType dtype) {  // half a unit in the last place, relative
  if (dtype == at::kBFloat16) return 1.0 / 256;
  return dtype == at::kHalf ? 1.0 / 2048 : 6e-8;
}

}  // namespace

KernelsOn::KernelsOn() : device_(on_gpu() ? open_device("cuda").device : at::Device(at::kCPU)) {
  if (device_.is_cpu()) register_device_kernels(at::kCPU, &cuda::kKernels);
}

KernelsOn::~KernelsOn() { register_device_kernels(at::kCPU, nullptr); }

double beyond_rounding(const at::Tensor& got, const at::Tensor& exact) {
  const at::Tensor wide = got.detach().to(at::kCPU, at::kDouble), right = exact.detach().to(at::kCPU, at::kDouble);
  // float16 below its normal range: a fixed step.
  const double step = got.scalar_type() == at::kHalf ? 6e-8 : 0;
  const at::Tensor beyond = (wide - right).abs() - right.abs() * unit_of(got.scalar_type()) - step;
  return beyond.max().item<double>() / (right.abs().max().item<double>() + 1e-30);
}

double relative_norm(const at::Tensor& got, const at::Tensor& exact) {
  const at::Tensor right = exact.detach().to(at::kCPU, at::kDouble);
  return ((got.detach().to(at::kCPU, at::kDouble) - right).norm() / (right.norm() + 1e-30)).item<double>();
}

at::Tensor unaligned_randn(at::IntArrayRef shape, at::ScalarType dtype) {
  const std::int64_t size = c10::multiply_integers(shape);
  return at::randn({size + 1}).to(dtype).narrow(0, 1, size).view(shape);
}

}  // namespace espalier::test
