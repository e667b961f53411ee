// SPDX-License-Identifier: Apache-2.0
// Work of a GPU beside its main work. On a CPU the same calls do their work at once, one after the other.
#pragma once

#include <optional>

#include <c10/core/Device.h>
#include <c10/core/Stream.h>
#include <c10/core/StreamGuard.h>

namespace espalier {

// "The current stream" is the caller's, which is never the side stream. Tensors that both touch must outlive join().
class SideStream {
 public:
  explicit SideStream(c10::Device device);

  // What `work` launches begins behind all that the current stream was given so far.
  template <class Work>
  void fork(const Work& work) {
    begin_behind_current();
    run(work);
  }
  // What `work` launches begins behind what the side stream was given so far, and beside the current stream.
  template <class Work>
  void run(const Work& work) {
    const c10::OptionalStreamGuard guard(stream_);
    work();
  }
  // What the current stream is given from now on begins behind all that the side stream has.
  void join();

 private:
  void begin_behind_current();

  std::optional<c10::Stream> stream_;
};

}  // namespace espalier
