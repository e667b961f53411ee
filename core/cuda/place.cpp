// SPDX-License-Identifier: Apache-2.0
#include "core/cuda/place.hpp"

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace espalier::cuda {

struct Place::State {
  c10::cuda::CUDAGuard guard;
  c10::cuda::CUDAStream stream;
};

Place::Place(const at::Tensor& x)
    : state_(new State{c10::cuda::CUDAGuard(x.device()), c10::cuda::getCurrentCUDAStream(x.device().index())}) {}
Place::~Place() = default;

Stream Place::stream() const { return state_->stream.stream(); }
void Place::launched() const { C10_CUDA_KERNEL_LAUNCH_CHECK(); }

}  // namespace espalier::cuda
