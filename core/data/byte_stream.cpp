// SPDX-License-Identifier: Apache-2.0
#include "core/data/byte_stream.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/error.hpp"

namespace espalier {

struct ByteStream::State {
  fs::path path;
  int file = -1;
  gzFile archive = nullptr;  // owns `file` once open
  std::uint64_t consumed = 0;

  ~State() {
    if (archive != nullptr) {
      gzclose_r(archive);
    } else if (file >= 0) {
      ::close(file);
    }
  }

  std::size_t read_plain(char* to, std::size_t size) {
    std::size_t done = 0;
    while (done < size) {
      const ssize_t got = ::read(file, to + done, size - done);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail("{}: cannot read; got {}", path.string(), std::strerror(errno));
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    consumed += done;
    return done;
  }

  std::size_t read_archive(char* to, std::size_t size) {
    std::size_t done = 0;
    while (done < size) {
      const auto part = static_cast<unsigned>(std::min(size - done, std::size_t{1} << 30));
      const int got = gzread(archive, to + done, part);
      int error = Z_OK;
      const char* text = gzerror(archive, &error);
      if (error == Z_BUF_ERROR) fail("{}: archive is cut short; got its end before the data's", path.string());
      if (got < 0 || error != Z_OK) fail("{}: archive is damaged; got {}", path.string(), text);
      if (gzdirect(archive) == 1) fail("{}: not a gzip archive; got other first bytes", path.string());
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    consumed = static_cast<std::uint64_t>(std::max<z_off_t>(0, gzoffset(archive)));
    return done;
  }
};

ByteStream::ByteStream(const fs::path& path, bool gzip) : state_(std::make_unique<State>()) {
  state_->path = path;
  state_->file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (state_->file < 0) fail("{}: cannot read; got {}", path.string(), std::strerror(errno));
  if (!gzip) return;
  state_->archive = gzdopen(state_->file, "rb");
  if (state_->archive == nullptr) fail("{}: cannot read; got no memory for the archive", path.string());
  gzbuffer(state_->archive, 1U << 18);
}

ByteStream::~ByteStream() = default;

std::size_t ByteStream::read(char* to, std::size_t size) {
  return state_->archive == nullptr ? state_->read_plain(to, size) : state_->read_archive(to, size);
}

std::uint64_t ByteStream::consumed() const { return state_->consumed; }

}  // namespace espalier
