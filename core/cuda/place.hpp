// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include <ATen/core/Tensor.h>

#include "core/cuda/kernels.hpp"

namespace espalier::cuda {

// The device of a call and the stream that its caller works on, current while the object lives.
class Place {
 public:
  explicit Place(const at::Tensor& x);
  ~Place();
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  Stream stream() const;
  void launched() const;  // after launchers: throws when a launch failed

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace espalier::cuda
