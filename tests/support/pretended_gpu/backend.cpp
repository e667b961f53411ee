// SPDX-License-Identifier: Apache-2.0
// A GPU that is none, for tests: preloaded (LD_PRELOAD) before the program, it stands in for LibTorch's CUDA part.
// Every operation on tensors of device "cuda:0" runs on the CPU, in their dtype, under the rules of a GPU:
//   - an operation whose tensors lie on different devices is refused with LibTorch's words;
//   - memory of the device cannot be touched from outside of operations (memory.hpp).
// Attention takes and leaves memory as a GPU's kernels do (attention.cpp). What it cannot show: kernels, streams,
// speed.
#include <dlfcn.h>

#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/EmptyTensor.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include "memory.hpp"
#include "views.hpp"

namespace espalier::pretended_gpu {
namespace {

constexpr c10::DispatchKeySet kKeys(c10::DispatchKey::CUDA);
const c10::Device kDevice(c10::DeviceType::CUDA, 0);

// ---- what LibTorch asks of a device

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return c10::DeviceType::CUDA; }
  c10::Device exchangeDevice(c10::Device) const override { return kDevice; }
  c10::Device getDevice() const override { return kDevice; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const override { return stream(); }
  c10::Stream getDefaultStream(c10::Device) const override { return stream(); }
  c10::Stream getStreamFromGlobalPool(c10::Device, bool) const override { return stream(); }
  c10::Stream exchangeStream(c10::Stream) const override { return stream(); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void**, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void synchronizeEvent(void*) const override {}
  void synchronizeDevice(const c10::DeviceIndex) const override {}

 private:
  static c10::Stream stream() { return c10::Stream(c10::Stream::DEFAULT, kDevice); }
};
C10_REGISTER_GUARD_IMPL(CUDA, Guard)

// ---- operations

bool is_ours(const at::Tensor& tensor) { return tensor.defined() && tensor.device().is_cuda(); }

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, at::ScalarType dtype) {
  return at::detail::empty_strided_generic(size, stride, &allocator(), kKeys, dtype);
}

}  // namespace

at::Tensor seen_by_cpu(const at::Tensor& tensor) {
  if (!is_ours(tensor)) return tensor;
  return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(),
                       at::TensorOptions(tensor.scalar_type()).device(at::kCPU));
}

at::Tensor moved(const at::Tensor& result) {
  if (!result.defined()) return result;
  at::Tensor ours = empty_strided(result.sizes(), result.strides(), result.scalar_type());
  seen_by_cpu(ours).copy_(result);
  return ours;
}

namespace {

// A GPU's operations take tensors of the CPU only as scalars, and as indices.
void check_device(const c10::OperatorHandle& op, std::size_t argument, const at::Tensor& tensor) {
  if (!tensor.defined() || is_ours(tensor) || tensor.dim() == 0) return;
  const std::string& name = op.schema().name();
  if (argument > 0 && (name == "aten::index" || name == "aten::index_put_" || name == "aten::_index_put_impl_")) return;
  TORCH_CHECK(false, "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and ",
              tensor.device(), "! (argument ", argument, " of ", op.schema().operator_name(), ")");
}

// The arguments of one call with their memory as the CPU sees it, and what they were before.
class Call {
 public:
  Call(const c10::OperatorHandle& op, torch::jit::Stack* stack) : op_(op), stack_(stack) {
    const std::size_t count = op.schema().arguments().size();
    begin_ = stack->size() - count;
    for (std::size_t i = 0; i < count; ++i) {
      c10::IValue& value = (*stack)[begin_ + i];
      before_.push_back(value);
      value = on_cpu(value, i);
    }
  }

  void run() {
    op_.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack_);
    for (auto& [ours, result] : sized_by_call_) take_over(ours, result);
    const auto& returns = op_.schema().returns();
    const std::size_t first = stack_->size() - returns.size();
    for (std::size_t i = 0; i < returns.size(); ++i) {
      (*stack_)[first + i] = on_device((*stack_)[first + i], returns[i].alias_info());
    }
  }

 private:
  c10::IValue on_cpu(const c10::IValue& value, std::size_t argument) {
    const c10::AliasInfo* info = op_.schema().arguments()[argument].alias_info();
    const auto one = [&](const at::Tensor& tensor) {
      check_device(op_, argument, tensor);
      if (info == nullptr || !info->isWrite() || tensor.numel() > 0) return seen_by_cpu(tensor);
      // The operation gives it its size.
      sized_by_call_.emplace_back(tensor, at::empty(tensor.sizes(), at::TensorOptions(tensor.scalar_type())));
      return sized_by_call_.back().second;
    };
    if (value.isTensor()) return one(value.toTensor());
    if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(one(tensor));
      return list;
    }
    if (value.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> list;
      for (const auto& tensor : value.toOptionalTensorVector())
        list.push_back(tensor ? std::optional(one(*tensor)) : std::nullopt);
      return list;
    }
    if (value.isDevice() && value.toDevice().is_cuda()) return c10::Device(at::kCPU);
    return value;
  }

  static void take_over(const at::Tensor& ours, const at::Tensor& result) {
    const at::Tensor copy = moved(result);
    ours.unsafeGetTensorImpl()->set_storage_keep_dtype(copy.storage());
    ours.unsafeGetTensorImpl()->set_sizes_and_strides(copy.sizes(), copy.strides());
  }

  // What is returned is the argument that was written to, a view of one, or new.
  c10::IValue on_device(const c10::IValue& value, const c10::AliasInfo* info) {
    if (info != nullptr) {
      const c10::IValue& source = argument_like(*info);
      if (info->isWrite() || !value.isTensor()) return source;
      const at::Tensor view = value.toTensor(), whole = source.toTensor();
      const auto bytes = static_cast<const char*>(view.data_ptr()) - static_cast<const char*>(whole.data_ptr());
      const std::int64_t offset = whole.storage_offset() + bytes / static_cast<std::int64_t>(whole.element_size());
      return at::native::as_strided_tensorimpl(whole, view.sizes(), view.strides(), offset);
    }
    if (value.isTensor()) return moved(value.toTensor());
    if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(moved(tensor));
      return list;
    }
    return value;
  }

  const c10::IValue& argument_like(const c10::AliasInfo& info) const {
    const auto& arguments = op_.schema().arguments();
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      const c10::AliasInfo* own = arguments[i].alias_info();
      if (own != nullptr && own->beforeSets() == info.beforeSets()) return before_[i];
    }
    TORCH_CHECK(false, "pretended GPU: ", op_.schema().operator_name(), " returns a view of nothing");
  }

  const c10::OperatorHandle& op_;
  torch::jit::Stack* stack_;
  std::size_t begin_ = 0;
  std::vector<c10::IValue> before_;
  std::vector<std::pair<at::Tensor, at::Tensor>> sized_by_call_;
};

void on_the_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const Access access;
  Call(op, stack).run();
}

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                 std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, &allocator(), kKeys, dtype.value_or(at::kFloat), format);
}

at::Tensor empty_with_strides(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                              std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  return empty_strided(size, stride, dtype.value_or(at::kFloat));
}

// The one operation between devices.
at::Tensor& copy(at::Tensor& to, const at::Tensor& from, bool) {
  const Access access;
  at::Tensor place = seen_by_cpu(to);
  place.copy_(seen_by_cpu(from));
  return to;
}

// Products of narrow matrices with wide sums, which LibTorch has on GPUs only.
at::Tensor& mm_wide(const at::Tensor& a, const at::Tensor& b, at::ScalarType dtype, at::Tensor& out) {
  TORCH_CHECK(is_ours(a) && is_ours(b) && is_ours(out) && a.scalar_type() == b.scalar_type() &&
              out.scalar_type() == dtype);
  const Access access;
  at::Tensor place = seen_by_cpu(out);
  place.copy_(at::mm(seen_by_cpu(a).to(dtype), seen_by_cpu(b).to(dtype)));
  return out;
}

at::Tensor& addmm_wide(const at::Tensor& self, const at::Tensor& a, const at::Tensor& b, at::ScalarType dtype,
                       const at::Scalar& beta, const at::Scalar& alpha, at::Tensor& out) {
  TORCH_CHECK(is_ours(self) && is_ours(a) && is_ours(b) && is_ours(out) && a.scalar_type() == b.scalar_type() &&
              out.scalar_type() == dtype);
  const Access access;
  at::Tensor place = seen_by_cpu(out);
  place.copy_(at::addmm(seen_by_cpu(self).to(dtype), seen_by_cpu(a).to(dtype), seen_by_cpu(b).to(dtype), beta, alpha));
  return out;
}

TORCH_LIBRARY_IMPL(_, CUDA, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&on_the_cpu>()); }

TORCH_LIBRARY_IMPL(aten, CUDA, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_with_strides);
  m.impl("copy_", copy);
  m.impl("as_strided", at::native::as_strided_tensorimpl);
  m.impl("view", at::native::view);
  m.impl("_reshape_alias", at::native::_reshape_alias);
  m.impl("unfold", at::native::unfold);
  m.impl("mm.dtype_out", mm_wide);
  m.impl("addmm.dtype_out", addmm_wide);
}

[[maybe_unused]] const bool allocates = [] {
  c10::SetAllocator(c10::DeviceType::CUDA, &allocator(), /*priority=*/100);
  return true;
}();

// LibTorch asks for them by this name.
struct CUDAHooks final : at::CUDAHooksInterface {
  explicit CUDAHooks(at::CUDAHooksArgs) {}
  void init() const override {}
  bool hasCUDA() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  int getNumGPUs() const override { return 1; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex current_device() const override { return 0; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  void deviceSynchronize(c10::DeviceIndex) const override {}
  bool isPinnedPtr(const void*) const override { return false; }
  at::Allocator* getPinnedMemoryAllocator() const override { return c10::GetAllocator(c10::DeviceType::CPU); }
};
using at::CUDAHooksRegistry;
using at::RegistererCUDAHooksRegistry;
REGISTER_CUDA_HOOKS(CUDAHooks)

}  // namespace
}  // namespace espalier::pretended_gpu

// LibTorch's own CUDA part is not opened: its place is taken.
extern "C" __attribute__((visibility("default"))) void* dlopen(const char* name, int flags) {
  using Open = void* (*)(const char*, int);
  static const auto open = reinterpret_cast<Open>(::dlsym(RTLD_NEXT, "dlopen"));
  return open(name != nullptr && std::strstr(name, "libtorch_cuda.so") != nullptr ? nullptr : name, flags);
}
