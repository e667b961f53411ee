// SPDX-License-Identifier: Apache-2.0
#include "core/train/side_stream.hpp"

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace espalier {
namespace {

void wait(const c10::Stream& waiting, const c10::Stream& awaited) {
  c10::Event event(awaited.device_type());
  event.record(awaited);
  event.block(waiting);
}

}  // namespace

SideStream::SideStream(c10::Device device) {
  if (device.is_cpu()) return;
  stream_ = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

void SideStream::begin_behind_current() {
  if (stream_) wait(*stream_, c10::impl::VirtualGuardImpl(stream_->device_type()).getStream(stream_->device()));
}

void SideStream::join() {
  if (stream_) wait(c10::impl::VirtualGuardImpl(stream_->device_type()).getStream(stream_->device()), *stream_);
}

}  // namespace espalier
