// SPDX-License-Identifier: Apache-2.0
// A TCP connection that carries short messages, for the watch over ranks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace espalier {

class Socket {
 public:
  Socket() = default;
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  Socket(Socket&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
  Socket& operator=(Socket&& other) noexcept;
  ~Socket();
  int descriptor() const { return descriptor_; }
  bool open() const { return descriptor_ >= 0; }

  // One message, whole; false when the other side is gone or, with a time limit, silent.
  bool send(const std::string& message) const;
  std::optional<std::string> receive(int milliseconds) const;  // negative: as long as it takes

 private:
  int descriptor_ = -1;
};

// Listens on every address of this machine; the port is the system's choice. Error when that fails.
Socket listen_anywhere(std::uint16_t& port);
std::optional<Socket> accept_one(const Socket& listener, int milliseconds);
std::optional<Socket> connect_to(const std::string& address, std::uint16_t port, int milliseconds);

std::string host_name();
std::vector<std::string> own_addresses();  // numeric, those of real networks first

}  // namespace espalier
