// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace espalier {

// Threads that work on pushed inputs; pop() gives the results in the order of the inputs, and rethrows what the work
// threw. Memory stays bounded because the owner asks full() before it pushes. One thread pushes and pops.
template <class In, class Out>
class OrderedPool {
 public:
  // work(worker, input): `worker` counts from 0, and one worker does one thing at a time.
  OrderedPool(int workers, std::function<Out(int, In)> work) : work_(std::move(work)), most_(2 * workers + 2) {
    for (int i = 0; i < workers; ++i) threads_.emplace_back([this, i] { run(i); });
  }
  OrderedPool(const OrderedPool&) = delete;
  OrderedPool& operator=(const OrderedPool&) = delete;

  ~OrderedPool() {
    {
      const std::lock_guard lock(mutex_);
      tasks_.clear();
      closed_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  bool full() const { return results_.size() >= static_cast<std::size_t>(most_); }
  bool empty() const { return results_.empty(); }

  void push(In input) {
    // A shared input, because std::function wants to be copyable.
    auto shared = std::make_shared<In>(std::move(input));
    Task task([this, shared](int worker) { return work_(worker, std::move(*shared)); });
    results_.push_back(task.get_future());
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
  }

  Out pop() {
    std::future<Out> result = std::move(results_.front());
    results_.pop_front();
    return result.get();
  }

 private:
  using Task = std::packaged_task<Out(int)>;

  void run(int worker) {
    for (;;) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return closed_ || !tasks_.empty(); });
      if (closed_) return;
      Task task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task(worker);
    }
  }

  std::function<Out(int, In)> work_;
  int most_;
  std::deque<Task> tasks_;
  std::deque<std::future<Out>> results_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace espalier
