// SPDX-License-Identifier: Apache-2.0
#include "core/comm/rank_watch.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "core/base/error.hpp"
#include "core/comm/socket.hpp"

namespace espalier {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr int kConnect = 10'000, kMeet = 120'000;  // milliseconds: to one address; until all ranks are there
constexpr std::size_t kLongestError = 1 << 16;
constexpr auto kGrace = 300ms;  // where all ranks meet the same error, rank 0 says it in its own words

std::string random_word() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", device(), device(), device(), device());
}

// As it goes over the wire: a system's error text may be no UTF-8.
std::string wire(const json& message) { return message.dump(-1, ' ', false, json::error_handler_t::replace); }

// "127.0.0.1" first on the same machine, whose network may be closed to itself.
std::vector<std::string> worth_trying(const json& meeting) {
  std::vector<std::string> addresses;
  if (meeting.at("host") == host_name()) addresses.emplace_back("127.0.0.1");
  for (const json& address : meeting.at("addresses")) addresses.push_back(address.get<std::string>());
  return addresses;
}

}  // namespace

class RankWatch::State {
 public:
  State(Comm& comm, const Launch& launch, std::function<void(const std::string&)> say)
      : comm_(comm), local_rank_(launch.local_rank), say_(std::move(say)) {
    if (comm_.leads()) {
      meet_others();
    } else {
      join();
    }
    comm_.barrier();
    thread_ = std::thread([this] { watch(); });
  }

  ~State() {
    if (!thread_.joinable()) return;
    closing_ = true;
    for (const Peer& peer : peers_) ::shutdown(peer.socket.descriptor(), SHUT_RDWR);
    thread_.join();
  }

  void leave() {
    // Whoever is told by then that this one is done has got here, too.
    comm_.barrier();
    for (const Peer& peer : peers_) peer.socket.send(wire({{"done", true}}));
    thread_.join();
  }

  [[noreturn]] void end_all(const std::string& text, int exit_code) {
    if (comm_.leads()) {
      say_once(exit_code == 2 ? text : fmt::format("rank 0 of {}: {}", comm_.size(), text));
      stop_others(exit_code);
    } else {
      const bool told =
          peers_.front().socket.send(wire({{"error", text.substr(0, kLongestError)}, {"code", exit_code}}));
      // The watch ends this process when rank 0 says so.
      if (told) std::this_thread::sleep_for(10s);
      say_once(fmt::format("rank {} of {}: {}", comm_.rank(), comm_.size(), text));
    }
    end(exit_code);
  }

 private:
  struct Peer {
    Socket socket;
    std::int64_t rank = 0;
    std::string place;     // "process 4711 on node3"
    bool leaving = false;  // it is done: its end is no loss
  };

  void meet_others() {
    std::uint16_t port = 0;
    const Socket listener = listen_anywhere(port);
    const std::string word = random_word();
    comm_.broadcast_text(wire({{"host", host_name()}, {"addresses", own_addresses()}, {"port", port}, {"word", word}}),
                         0);
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kMeet);
    while (static_cast<std::int64_t>(peers_.size()) + 1 < comm_.size()) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
      std::optional<Socket> socket = accept_one(listener, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
      if (!socket) {
        fail("rank 0 on {}: not all ranks have come; got {} of {} within {} s; expected connections to port {}",
             host_name(), peers_.size(), comm_.size() - 1, kMeet / 1000, port);
      }
      welcome(std::move(*socket), word);
    }
  }

  // Whoever does not know the word is no rank of ours.
  void welcome(Socket socket, const std::string& word) {
    const json hello = json::parse(socket.receive(kConnect).value_or(""), nullptr, false);
    if (!hello.is_object() || hello.value("word", "") != word) return;
    if (!socket.send(wire({{"welcome", word}}))) return;
    peers_.push_back({std::move(socket), hello.value("rank", std::int64_t{0}), hello.value("place", "")});
  }

  void join() {
    const json meeting = json::parse(comm_.broadcast_text("", 0));
    const std::string word = meeting.at("word").get<std::string>();
    const auto port = meeting.at("port").get<std::uint16_t>();
    std::string tried;
    for (const std::string& address : worth_trying(meeting)) {
      std::optional<Socket> socket = connect_to(address, port, kConnect);
      const std::string place = fmt::format("process {} on {}", ::getpid(), host_name());
      if (socket && socket->send(wire({{"word", word}, {"rank", comm_.rank()}, {"place", place}}))) {
        const json answer = json::parse(socket->receive(kConnect).value_or(""), nullptr, false);
        if (answer.is_object() && answer.value("welcome", "") == word) {
          peers_.push_back({std::move(*socket), 0, "on " + meeting.at("host").get<std::string>()});
          return;
        }
      }
      tried += (tried.empty() ? "" : ", ") + address;
    }
    fail(
        "rank {} on {}: cannot reach rank 0; got no answer from {} at port {}; expected a network between the machines",
        comm_.rank(), host_name(), tried, port);
  }

  void watch() {
    for (;;) {
      std::vector<pollfd> entries;
      std::vector<Peer*> watched;
      for (Peer& peer : peers_) {
        if (peer.leaving) continue;
        entries.push_back({peer.socket.descriptor(), POLLIN, 0});
        watched.push_back(&peer);
      }
      if (entries.empty()) return;
      if (::poll(entries.data(), entries.size(), -1) < 0) continue;
      for (std::size_t i = 0; i < entries.size(); ++i) {
        if (entries[i].revents != 0) hear(*watched[i]);
      }
    }
  }

  void hear(Peer& peer) {
    const std::optional<std::string> text = peer.socket.receive(kConnect);
    const json message = text ? json::parse(*text, nullptr, false) : json();
    if (closing_ || (message.is_object() && message.contains("done"))) {
      peer.leaving = true;
    } else if (message.is_object() && message.contains("stop")) {
      end(message.value("stop", 1));  // rank 0 has said why
    } else if (message.is_object() && message.contains("error")) {
      const int code = message.value("code", 1);
      std::this_thread::sleep_for(kGrace);
      const std::string what = message.value("error", "");
      say_once(code == 2 ? what : fmt::format("rank {} of {}: {}", peer.rank, comm_.size(), what));
      stop_others(code);
      end(code);
    } else {
      lost(peer);
    }
  }

  [[noreturn]] void lost(const Peer& peer) {
    // Of those that are left when rank 0 is lost, one on each machine speaks.
    if (comm_.leads() || comm_.rank() == 1 || local_rank_ == 0) {
      say_once(fmt::format(
          "rank {} of {} is lost ({}); got the end of its connection without a word; expected it to go on (it was "
          "killed, or its machine failed); all ranks stop, and the same command goes on from the last checkpoint",
          peer.rank, comm_.size(), peer.place));
    }
    stop_others(1);
    end(1);
  }

  void stop_others(int exit_code) {
    if (!comm_.leads()) return;
    for (const Peer& peer : peers_) peer.socket.send(wire({{"stop", exit_code}}));
  }

  // The first to fail speaks; whoever comes later waits here until the process ends.
  void say_once(const std::string& text) {
    if (said_.exchange(true)) {
      std::this_thread::sleep_for(10s);
    } else {
      say_(text);
    }
  }

  // Without destructors: other threads are inside calls that will never return.
  [[noreturn]] void end(int exit_code) {
    comm_.abort();
    ::_exit(exit_code);
  }

  Comm& comm_;
  std::int64_t local_rank_;
  std::function<void(const std::string&)> say_;
  std::vector<Peer> peers_;  // of rank 0 all others, of the others rank 0
  std::atomic<bool> said_{false}, closing_{false};
  std::thread thread_;
};

RankWatch::RankWatch(Comm& comm, const Launch& launch, std::function<void(const std::string&)> say)
    : state_(std::make_unique<State>(comm, launch, std::move(say))) {}
RankWatch::~RankWatch() = default;
void RankWatch::leave() { state_->leave(); }
void RankWatch::end_all(const std::string& text, int exit_code) { state_->end_all(text, exit_code); }

}  // namespace espalier
