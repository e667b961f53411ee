// SPDX-License-Identifier: Apache-2.0
// The module espalier_mpi: CPU ranks over MPI, with sums in rank order. Everything is point to point: MPI's own
// reductions may sum in any order, its counts are ints, and its waiting takes a whole core.
#include <mpi.h>

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

#include "core/base/error.hpp"
#include "core/comm/module.hpp"

namespace espalier {
namespace {

constexpr std::int64_t kChunk = std::int64_t{1} << 20;  // elements of one rank's part that are on their way at a time
constexpr std::size_t kMessage = std::size_t{1} << 30;  // bytes; counts of MPI are ints
constexpr int kTag = 7;

void check(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  fail("MPI: {} failed; got {}; expected all ranks to answer", what,
       std::string(text, static_cast<std::size_t>(length)));
}

// Gives the core away while it waits, the longer the more: ranks wait for rank 0 through whole stages, and tests have
// more ranks than cores.
class Patience {
 public:
  void wait() {
    ++turns_;
    if (turns_ < 200) return;
    if (turns_ < 1000) {
      ::sched_yield();
      return;
    }
    const auto waited = std::chrono::steady_clock::now() - began_;
    const timespec pause{0, waited > std::chrono::seconds(1) ? 2'000'000 : 50'000};
    ::nanosleep(&pause, nullptr);
  }

 private:
  int turns_ = 0;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

// Messages on their way; all of them have arrived after finish().
class Messages {
 public:
  explicit Messages(MPI_Comm world) : world_(world) {}
  void send(const void* data, std::size_t bytes, std::int64_t to) {
    each(static_cast<std::byte*>(const_cast<void*>(data)), bytes, [&](std::byte* from, int count) {
      check(MPI_Isend(from, count, MPI_BYTE, static_cast<int>(to), kTag, world_, &requests_.emplace_back()), "a send");
    });
  }
  void receive(void* data, std::size_t bytes, std::int64_t from) {
    each(static_cast<std::byte*>(data), bytes, [&](std::byte* into, int count) {
      check(MPI_Irecv(into, count, MPI_BYTE, static_cast<int>(from), kTag, world_, &requests_.emplace_back()),
            "a receive");
    });
  }
  void finish() {
    Patience patience;
    for (int done = 0; done == 0;) {
      check(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, MPI_STATUSES_IGNORE), "a message");
      if (done == 0) patience.wait();
    }
    requests_.clear();
  }

 private:
  template <class Act>
  static void each(std::byte* data, std::size_t bytes, const Act& act) {
    for (std::size_t at = 0; at < bytes; at += kMessage) {
      act(data + at, static_cast<int>(std::min(kMessage, bytes - at)));
    }
  }

  MPI_Comm world_;
  std::vector<MPI_Request> requests_;
};

std::size_t bytes_of(const at::Tensor& tensor) { return tensor.nbytes(); }

class MpiComm final : public Comm {
 public:
  explicit MpiComm(const Launch& launch) {
    int level = 0, rank = 0, size = 1;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level), "the start");
    check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "the start");
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "the start");
    check(MPI_Comm_size(MPI_COMM_WORLD, &size), "the start");
    rank_ = rank;
    size_ = size;
    if (rank_ == launch.rank && size_ == launch.size) return;
    fail(
        "MPI: its ranks are not those of {}; got rank {} of {}; expected rank {} of {}: the mpirun of the MPI library "
        "that this program is built with, or srun --mpi=pmix",
        launch.launcher, rank_, size_, launch.rank, launch.size);
  }
  MpiComm(const MpiComm&) = delete;
  MpiComm& operator=(const MpiComm&) = delete;
  ~MpiComm() override { MPI_Finalize(); }

  std::int64_t rank() const override { return rank_; }
  std::int64_t size() const override { return size_; }

  void reduce_scatter(const at::Tensor& all, at::Tensor& own) override {
    const bool narrow = all.scalar_type() == at::kBFloat16;
    ESPALIER_CHECK(all.is_contiguous() && own.is_contiguous() && (narrow || all.scalar_type() == at::kFloat) &&
                       own.scalar_type() == all.scalar_type() && all.numel() == own.numel() * size_,
                   own.numel());
    narrow ? sum_parts<at::BFloat16>(all, own) : sum_parts<float>(all, own);
  }

  void all_gather(const at::Tensor& own, at::Tensor& all) override {
    const std::size_t part = bytes_of(own);
    ESPALIER_CHECK(all.is_contiguous() && own.is_contiguous() && all.scalar_type() == own.scalar_type() &&
                       all.numel() == own.numel() * size_,
                   own.numel());
    auto* to = static_cast<std::byte*>(all.mutable_data_ptr());
    const auto* from = static_cast<const std::byte*>(own.const_data_ptr());
    std::byte* mine = to + static_cast<std::size_t>(rank_) * part;
    if (mine != from && part > 0) std::copy(from, from + part, mine);
    Messages messages(MPI_COMM_WORLD);
    for (std::int64_t other = 0; other < size_; ++other) {
      if (other == rank_) continue;
      messages.receive(to + static_cast<std::size_t>(other) * part, part, other);
    }
    for_others([&](std::int64_t other) { messages.send(mine, part, other); });
    messages.finish();
  }

  void all_reduce(at::Tensor& values) override {
    ESPALIER_CHECK(values.is_contiguous() && values.scalar_type() == at::kDouble && values.device().is_cpu());
    const auto count = static_cast<std::size_t>(values.numel());
    double* mine = values.mutable_data_ptr<double>();
    std::vector<double> all(count * static_cast<std::size_t>(size_));
    std::copy(mine, mine + count, all.begin() + static_cast<std::ptrdiff_t>(count * static_cast<std::size_t>(rank_)));
    Messages messages(MPI_COMM_WORLD);
    for_others([&](std::int64_t other) {
      messages.receive(all.data() + count * static_cast<std::size_t>(other), count * sizeof(double), other);
      messages.send(all.data() + count * static_cast<std::size_t>(rank_), count * sizeof(double), other);
    });
    messages.finish();
    std::copy(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count), mine);
    for (std::size_t i = count; i < all.size(); ++i) mine[i % count] += all[i];
  }

  void broadcast(at::Tensor& tensor, std::int64_t root) override {
    ESPALIER_CHECK(tensor.is_contiguous());
    send_to_all(tensor.mutable_data_ptr(), bytes_of(tensor), root);
  }

  std::string broadcast_text(const std::string& text, std::int64_t root) override {
    std::uint64_t length = text.size();
    send_to_all(&length, sizeof(length), root);
    std::string result = text;
    result.resize(length);
    send_to_all(result.data(), length, root);
    return result;
  }

  void barrier() override {
    MPI_Request request;
    check(MPI_Ibarrier(MPI_COMM_WORLD, &request), "a barrier");
    Patience patience;
    for (int done = 0; done == 0;) {
      check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "a barrier");
      if (done == 0) patience.wait();
    }
  }

  // Nothing: only the main thread may call MPI, and its waiting ends with the process, which mpirun and srun notice.
  void abort() noexcept override {}

 private:
  // Begins with the neighbour, so that not all ranks send to rank 0 first.
  template <class Act>
  void for_others(const Act& act) const {
    for (std::int64_t step = 1; step < size_; ++step) act((rank_ + step) % size_);
  }

  template <class T>
  void sum_parts(const at::Tensor& all, at::Tensor& own) {
    const std::int64_t part = own.numel();
    buffer_.resize(static_cast<std::size_t>(std::min(part, kChunk) * size_) * sizeof(T));
    const T* from = all.const_data_ptr<T>();
    T* to = own.mutable_data_ptr<T>();
    for (std::int64_t begin = 0; begin < part; begin += kChunk) {
      const std::int64_t count = std::min(kChunk, part - begin);
      exchange(from + begin, part, count);
      add_in_order(from + rank_ * part + begin, count, to + begin);
    }
  }

  // To every rank its `count` elements, and into the buffer what all of them have for this one.
  template <class T>
  void exchange(const T* from, std::int64_t part, std::int64_t count) {
    const auto bytes = static_cast<std::size_t>(count) * sizeof(T);
    Messages messages(MPI_COMM_WORLD);
    for_others([&](std::int64_t other) { messages.receive(buffer<T>() + other * count, bytes, other); });
    for_others([&](std::int64_t other) { messages.send(from + other * part, bytes, other); });
    messages.finish();
  }

  // In float32, rounded once at the end.
  template <class T>
  void add_in_order(const T* mine, std::int64_t count, T* to) {
    std::copy(mine, mine + count, buffer<T>() + rank_ * count);
    sums_.assign(buffer<T>(), buffer<T>() + count);
    for (std::int64_t other = 1; other < size_; ++other) {
      const T* theirs = buffer<T>() + other * count;
      for (std::int64_t i = 0; i < count; ++i) sums_[static_cast<std::size_t>(i)] += static_cast<float>(theirs[i]);
    }
    std::copy(sums_.begin(), sums_.end(), to);
  }

  template <class T>
  T* buffer() {
    return reinterpret_cast<T*>(buffer_.data());
  }

  void send_to_all(void* data, std::size_t bytes, std::int64_t root) {
    Messages messages(MPI_COMM_WORLD);
    if (rank_ == root) {
      for_others([&](std::int64_t other) { messages.send(data, bytes, other); });
    } else {
      messages.receive(data, bytes, root);
    }
    messages.finish();
  }

  std::int64_t rank_ = 0, size_ = 1;
  std::vector<std::byte> buffer_;
  std::vector<float> sums_;
};

}  // namespace
}  // namespace espalier

extern "C" {
__attribute__((visibility("default"))) const char* espalier_module_version() { return ESPALIER_VERSION; }
__attribute__((visibility("default"))) espalier::Comm* espalier_module_comm(const espalier::Launch& launch,
                                                                            const at::Device&) {
  return new espalier::MpiComm(launch);
}
}
