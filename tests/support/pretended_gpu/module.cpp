// SPDX-License-Identifier: Apache-2.0
// The module espalier_cuda for the pretended GPU: the kernels' row programs in loops on the CPU
// (tests/core/cuda/host_launchers.cpp), and no driver.
#include <string>
#include <vector>

#include "core/cuda/tensors.hpp"
#include "core/ops/device_module.hpp"

extern "C" void espalier_pretended_gpu_open();
extern "C" void espalier_pretended_gpu_close();

namespace espalier::cuda {
namespace {

struct Access {
  Access() { espalier_pretended_gpu_open(); }
  ~Access() { espalier_pretended_gpu_close(); }
};

using Tensors = std::vector<at::Tensor>;
Tensors tensors_of(const NormCall& c) { return {c.x, c.residual, c.weight, c.bias, c.sum, c.y, c.mean, c.rstd}; }
Tensors tensors_of(const NormBackwardCall& c) {
  return {c.dy, c.dsum, c.x, c.weight, c.mean, c.rstd, c.dx, c.dweight, c.dbias};
}
Tensors tensors_of(const ActivationCall& c) { return {c.gate, c.up, c.y}; }
Tensors tensors_of(const ActivationBackwardCall& c) { return {c.dy, c.gate, c.up, c.dgate, c.dup}; }
Tensors tensors_of(const RotateCall& c) { return {c.x, c.cos, c.sin, c.y}; }
Tensors tensors_of(const KlRows& c) { return {c.student, c.teacher, c.labels, c.kl, c.ce, c.gradient}; }
Tensors tensors_of(const AdamWUpdate& c) { return {c.master, c.weight, c.rest, c.gradient, c.first, c.second}; }
Tensors tensors_of(const StatisticsCall& c) { return {c.x, c.out}; }
Tensors tensors_of(const GatherCall& c) { return {c.x, c.index, c.out}; }

template <auto kEntry, class Call>
void with_access(const Call& call) {
  for (const at::Tensor& tensor : tensors_of(call)) {
    TORCH_CHECK(!tensor.defined() || tensor.device().is_cuda(), "a kernel got a tensor on ", tensor.device());
  }
  const Access access;
  (kKernels.*kEntry)(call);
}

const DeviceKernels kGuarded = {
    .norm = with_access<&DeviceKernels::norm, NormCall>,
    .norm_backward = with_access<&DeviceKernels::norm_backward, NormBackwardCall>,
    .activation = with_access<&DeviceKernels::activation, ActivationCall>,
    .activation_backward = with_access<&DeviceKernels::activation_backward, ActivationBackwardCall>,
    .rotate = with_access<&DeviceKernels::rotate, RotateCall>,
    .kl_rows = with_access<&DeviceKernels::kl_rows, KlRows>,
    .adamw = with_access<&DeviceKernels::adamw, AdamWUpdate>,
    .statistics = with_access<&DeviceKernels::statistics, StatisticsCall>,
    .gather = with_access<&DeviceKernels::gather, GatherCall>,
    .record = kKernels.record,
};

std::string problem(int) { return ""; }
std::string description(int) { return "a pretended GPU: everything runs on the CPU"; }

}  // namespace
}  // namespace espalier::cuda

extern "C" {
extern ESPALIER_SDK_VISIBLE const espalier::DeviceModule espalier_device_module;
const espalier::DeviceModule espalier_device_module = {sizeof(espalier::DeviceModule), sizeof(espalier::DeviceKernels),
                                                       ESPALIER_MODULE_STAMP,          &espalier::cuda::kGuarded,
                                                       &espalier::cuda::problem,       &espalier::cuda::description};
}
