// SPDX-License-Identifier: Apache-2.0
// Where the cases of this folder run, and how results are compared.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/ATen.h>

namespace espalier::test {

// The GPU when ESPALIER_TEST_DEVICE is "cuda" (Error says why there is none), else the CPU. While an object of this
// kind lives, operations on the device use the kernels: the module's, or on the CPU their row programs.
class KernelsOn {
 public:
  KernelsOn();
  ~KernelsOn();
  KernelsOn(const KernelsOn&) = delete;
  KernelsOn& operator=(const KernelsOn&) = delete;
  at::Tensor operator()(const at::Tensor& x) const { return x.to(device_); }
  at::Device device() const { return device_; }

 private:
  at::Device device_;
};

inline const std::vector<at::ScalarType> kNarrowAndWide{at::kFloat, at::kBFloat16, at::kHalf};

// The largest |got − exact| beyond one rounding of `exact` to got's dtype, relative to the largest |exact|. Float32
// sums of a few thousand terms of both signs stay below 2e-6.
double beyond_rounding(const at::Tensor& got, const at::Tensor& exact);

// |got − exact| / |exact|, as norms of the whole tensors.
double relative_norm(const at::Tensor& got, const at::Tensor& exact);

// Standard normal numbers of that dtype on the CPU, at an address that is a multiple of its size only.
at::Tensor unaligned_randn(at::IntArrayRef shape, at::ScalarType dtype);

}  // namespace espalier::test
