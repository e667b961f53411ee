// SPDX-License-Identifier: Apache-2.0
#include "core/comm/socket.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "core/base/error.hpp"

namespace espalier {
namespace {

constexpr std::uint32_t kLongest = 1 << 20;  // of a message; more is no message of ours

using Clock = std::chrono::steady_clock;

// A machine that is lost says nothing: the system asks after half a minute of silence, and gives up after another.
void keep_alive(int descriptor) {
  const int on = 1, idle = 30, interval = 5, count = 6;
  ::setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

bool ready(int descriptor, short what, int milliseconds) {
  const Clock::time_point end = Clock::now() + std::chrono::milliseconds(milliseconds);
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd entry{descriptor, what, 0};
    const int got = ::poll(&entry, 1, milliseconds < 0 ? -1 : static_cast<int>(std::max<std::int64_t>(left, 0)));
    if (got < 0 && errno == EINTR) continue;
    return got > 0;
  }
}

bool read_all(int descriptor, void* data, std::size_t bytes, int milliseconds) {
  auto* to = static_cast<char*>(data);
  while (bytes > 0) {
    if (!ready(descriptor, POLLIN, milliseconds)) return false;
    const ssize_t got = ::recv(descriptor, to, bytes, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

}  // namespace

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

Socket::~Socket() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool Socket::send(const std::string& message) const {
  const auto length = static_cast<std::uint32_t>(message.size());
  std::string bytes(reinterpret_cast<const char*>(&length), sizeof(length));
  bytes += message;
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t sent = ::send(descriptor_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    at += static_cast<std::size_t>(sent);
  }
  return true;
}

std::optional<std::string> Socket::receive(int milliseconds) const {
  std::uint32_t length = 0;
  if (!read_all(descriptor_, &length, sizeof(length), milliseconds) || length > kLongest) return std::nullopt;
  std::string message(length, '\0');
  if (!read_all(descriptor_, message.data(), length, milliseconds)) return std::nullopt;
  return message;
}

Socket listen_anywhere(std::uint16_t& port) {
  Socket listener(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int off = 0;
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  sockaddr_in four{};
  four.sin_family = AF_INET;
  bool bound = listener.open() &&
               ::setsockopt(listener.descriptor(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0 &&
               ::bind(listener.descriptor(), reinterpret_cast<const sockaddr*>(&six), sizeof(six)) == 0;
  if (!bound) {  // a machine without IPv6
    listener = Socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    bound =
        listener.open() && ::bind(listener.descriptor(), reinterpret_cast<const sockaddr*>(&four), sizeof(four)) == 0;
  }
  sockaddr_storage place{};
  socklen_t size = sizeof(place);
  if (!bound || ::listen(listener.descriptor(), 1024) != 0 ||
      ::getsockname(listener.descriptor(), reinterpret_cast<sockaddr*>(&place), &size) != 0) {
    fail("{}: cannot listen for the other ranks; got {}", host_name(), std::strerror(errno));
  }
  port = ntohs(place.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&place)->sin6_port
                                           : reinterpret_cast<const sockaddr_in*>(&place)->sin_port);
  return listener;
}

std::optional<Socket> accept_one(const Socket& listener, int milliseconds) {
  if (!ready(listener.descriptor(), POLLIN, milliseconds)) return std::nullopt;
  Socket socket(::accept4(listener.descriptor(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket.open()) return std::nullopt;
  keep_alive(socket.descriptor());
  return socket;
}

std::optional<Socket> connect_to(const std::string& address, std::uint16_t port, int milliseconds) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST;
  if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return std::nullopt;
  Socket socket(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  int error = 0;
  socklen_t size = sizeof(error);
  const bool begun =
      socket.open() && (::connect(socket.descriptor(), found->ai_addr, found->ai_addrlen) == 0 || errno == EINPROGRESS);
  ::freeaddrinfo(found);
  if (!begun || !ready(socket.descriptor(), POLLOUT, milliseconds)) return std::nullopt;
  if (::getsockopt(socket.descriptor(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) return std::nullopt;
  ::fcntl(socket.descriptor(), F_SETFL, ::fcntl(socket.descriptor(), F_GETFL) & ~O_NONBLOCK);
  keep_alive(socket.descriptor());
  return socket;
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "?";
}

std::vector<std::string> own_addresses() {
  std::vector<std::string> addresses, loopback;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {"127.0.0.1"};
  for (const int family : {AF_INET, AF_INET6}) {
    for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
      if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != family || (entry->ifa_flags & IFF_UP) == 0)
        continue;
      std::array<char, NI_MAXHOST> text{};
      const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
      if (::getnameinfo(entry->ifa_addr, size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) continue;
      if (std::strchr(text.data(), '%') != nullptr) continue;  // of one link only
      ((entry->ifa_flags & IFF_LOOPBACK) != 0 ? loopback : addresses).emplace_back(text.data());
    }
  }
  ::freeifaddrs(list);
  addresses.insert(addresses.end(), loopback.begin(), loopback.end());
  return addresses;
}

}  // namespace espalier
