// SPDX-License-Identifier: Apache-2.0
// The module espalier_nccl: ranks with a GPU each. Tensors go through NCCL on the current stream; texts and barriers
// through a store on rank 0's machine, so that waiting for hours keeps no GPU busy. NCCL sums gradients in an order of
// its own, which is the same whenever ranks, machines and its settings are; the few numbers of all_reduce are added in
// rank order. Opened after libtorch_cuda, which brings the same libnccl.
#include <nccl.h>

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "core/base/error.hpp"
#include "core/comm/module.hpp"

namespace espalier {
namespace {

using namespace std::chrono_literals;

constexpr auto kMeet = 5min;             // until all ranks are there
constexpr auto kWork = 24h * 20;         // for what rank 0 does alone; fits the milliseconds of an int
constexpr std::uint16_t kPort = 29'500;  // torchrun's

std::vector<std::uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

// The place where ranks meet: torchrun's, or on one machine its own.
c10::intrusive_ptr<c10d::Store> open_store(const Launch& launch) {
  std::string address = launch.master_address;
  if (address.empty() && launch.local_size == launch.size) address = "127.0.0.1";
  if (address.empty()) {
    fail(
        "environment: MASTER_ADDR is not set; got {} ranks on several machines from {}; expected MASTER_ADDR and "
        "MASTER_PORT, an address of rank 0's machine and a free port there",
        launch.size, launch.launcher);
  }
  c10d::TCPStoreOptions options;
  options.port = launch.master_port > 0 ? static_cast<std::uint16_t>(launch.master_port) : kPort;
  options.isServer = launch.rank == 0 && !launch.agent_store;
  if (!launch.agent_store) options.numWorkers = static_cast<std::size_t>(launch.size);
  options.timeout = kMeet;
  try {
    auto store = c10::make_intrusive<c10d::TCPStore>(address, options);
    return c10::make_intrusive<c10d::PrefixStore>("espalier/" + launch.attempt, std::move(store));
  } catch (const std::exception& error) {
    const std::string text = error.what();
    fail("rank {} of {}: the ranks do not meet at {}:{}; got {}; expected all of them within {} minutes", launch.rank,
         launch.size, address, options.port, text.substr(0, text.find('\n')), kMeet.count());
  }
}

class NcclComm final : public Comm {
 public:
  NcclComm(const Launch& launch, const at::Device& device)
      : rank_(launch.rank), size_(launch.size), device_(device), store_(open_store(launch)) {
    ncclUniqueId id{};
    if (rank_ == 0) check(ncclGetUniqueId(&id), "the start");
    const std::string shared = broadcast_text(std::string(id.internal, sizeof(id.internal)), 0, kMeet);
    ESPALIER_CHECK(shared.size() == sizeof(id.internal), shared.size());
    std::memcpy(id.internal, shared.data(), shared.size());
    // Not blocking, so that a rank which never comes is an error and not a wait without end.
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclComm_t comm = nullptr;
    const ncclResult_t result =
        ncclCommInitRankConfig(&comm, static_cast<int>(size_), id, static_cast<int>(rank_), &config);
    comm_ = comm;
    check(result, "the start");
  }
  NcclComm(const NcclComm&) = delete;
  NcclComm& operator=(const NcclComm&) = delete;
  ~NcclComm() override {
    if (ncclComm_t comm = comm_.exchange(nullptr)) {
      ncclCommFinalize(comm);
      ncclResult_t state = ncclInProgress;
      const auto end = std::chrono::steady_clock::now() + kMeet;
      while (ncclCommGetAsyncError(comm, &state) == ncclSuccess && state == ncclInProgress &&
             std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(1ms);
      }
      ncclCommDestroy(comm);
    }
  }

  std::int64_t rank() const override { return rank_; }
  std::int64_t size() const override { return size_; }

  void reduce_scatter(const at::Tensor& all, at::Tensor& own) override {
    const bool narrow = all.scalar_type() == at::kBFloat16;
    ESPALIER_CHECK(all.is_contiguous() && own.is_contiguous() && (narrow || all.scalar_type() == at::kFloat) &&
                       own.scalar_type() == all.scalar_type() && all.numel() == own.numel() * size_,
                   own.numel());
    check(ncclReduceScatter(all.const_data_ptr(), own.mutable_data_ptr(), static_cast<std::size_t>(own.numel()),
                            narrow ? ncclBfloat16 : ncclFloat32, ncclSum, comm_, stream()),
          "reduce_scatter");
  }

  void all_gather(const at::Tensor& own, at::Tensor& all) override {
    ESPALIER_CHECK(all.is_contiguous() && own.is_contiguous() && all.scalar_type() == own.scalar_type() &&
                       all.numel() == own.numel() * size_,
                   own.numel());
    check(ncclAllGather(own.const_data_ptr(), all.mutable_data_ptr(), own.nbytes(), ncclInt8, comm_, stream()),
          "all_gather");
  }

  void all_reduce(at::Tensor& values) override {
    ESPALIER_CHECK(values.is_contiguous() && values.scalar_type() == at::kDouble);
    const at::Tensor own = values.to(device_);
    at::Tensor all = at::empty({size_ * values.numel()}, own.options());
    all_gather(own, all);
    const at::Tensor parts = all.to(values.device()).view({size_, values.numel()});
    values.copy_(parts[0]);
    for (std::int64_t other = 1; other < size_; ++other) values.add_(parts[other]);
  }

  void broadcast(at::Tensor& tensor, std::int64_t root) override {
    ESPALIER_CHECK(tensor.is_contiguous());
    check(ncclBroadcast(tensor.const_data_ptr(), tensor.mutable_data_ptr(), tensor.nbytes(), ncclInt8,
                        static_cast<int>(root), comm_, stream()),
          "broadcast");
  }

  std::string broadcast_text(const std::string& text, std::int64_t root) override {
    return broadcast_text(text, root, kWork);
  }

  void barrier() override {
    const std::string key = "barrier/" + std::to_string(barriers_++);
    if (store_->add(key, 1) == size_) store_->set(key + "/passed", bytes_of("1"));
    wait_for(key + "/passed", kWork);
  }

  // Kernels that wait for a lost rank end. The library may hang where its network does; the process does not.
  void abort() noexcept override {
    ncclComm_t comm = comm_.exchange(nullptr);
    if (comm == nullptr) return;
    auto done = std::make_shared<std::atomic<bool>>(false);
    std::thread([comm, done] {
      ncclCommAbort(comm);
      *done = true;
    }).detach();
    for (int i = 0; i < 500 && !*done; ++i) std::this_thread::sleep_for(10ms);
  }

 private:
  std::string broadcast_text(const std::string& text, std::int64_t root, std::chrono::milliseconds limit) {
    const std::string key = "text/" + std::to_string(texts_++);
    if (rank_ == root) {
      store_->set(key, bytes_of(text));
      return text;
    }
    wait_for(key, limit);
    const std::vector<std::uint8_t> bytes = store_->get(key);
    return {bytes.begin(), bytes.end()};
  }

  void wait_for(const std::string& key, std::chrono::milliseconds limit) {
    try {
      store_->wait({key}, limit);
    } catch (const std::exception& error) {
      const std::string what = error.what();
      fail("NCCL: the store on rank 0's machine does not answer; got {}; expected rank 0 to go on",
           what.substr(0, what.find('\n')));
    }
  }

  cudaStream_t stream() const { return c10::cuda::getCurrentCUDAStream(device_.index()).stream(); }

  void check(ncclResult_t result, const char* what) {
    const auto end = std::chrono::steady_clock::now() + kMeet;
    while (result == ncclInProgress) {
      ncclComm_t comm = comm_;
      if (comm == nullptr || ncclCommGetAsyncError(comm, &result) != ncclSuccess) break;
      if (result != ncclInProgress) break;
      if (std::chrono::steady_clock::now() > end) {
        fail("NCCL: {} does not end; got no answer within {} minutes; expected {} ranks", what, kMeet.count(), size_);
      }
      std::this_thread::sleep_for(100us);
    }
    if (result == ncclSuccess) return;
    fail("NCCL: {} failed on rank {}; got {} ({}); expected all ranks to answer, each on a GPU of its own", what, rank_,
         ncclGetErrorString(result), ncclGetLastError(nullptr));
  }

  std::int64_t rank_, size_;
  at::Device device_;
  c10::intrusive_ptr<c10d::Store> store_;
  std::int64_t texts_ = 0, barriers_ = 0;
  std::atomic<ncclComm_t> comm_{nullptr};
};

}  // namespace
}  // namespace espalier

extern "C" {
__attribute__((visibility("default"))) const char* espalier_module_version() { return ESPALIER_VERSION; }
__attribute__((visibility("default"))) espalier::Comm* espalier_module_comm(const espalier::Launch& launch,
                                                                            const at::Device& device) {
  return new espalier::NcclComm(launch, device);
}
}
