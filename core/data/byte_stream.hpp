// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/base/files.hpp"

namespace espalier {

// A file's bytes from start to end, inflated when it is gzip (several members in a row are one text). Throws Error on a
// truncated or damaged archive.
class ByteStream {
 public:
  ByteStream(const fs::path& path, bool gzip);
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;
  ~ByteStream();
  std::size_t read(char* to, std::size_t size);  // fewer than `size` only at the end
  std::uint64_t consumed() const;                // bytes of the file itself

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace espalier
