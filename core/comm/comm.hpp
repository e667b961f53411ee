// SPDX-License-Identifier: Apache-2.0
// What the processes of one training say to each other. Every function but rank, size and abort is collective: all
// ranks call the same ones in the same order. Sums are taken in rank order, ((x0 + x1) + x2) + …, whatever the library
// underneath does, so that a run repeats its bytes; where a library sums by itself, its module says so.
//
// Not here: topologies, overlap with computing, and anything that knows what is trained.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/comm/launch.hpp"

namespace espalier {

// One rank's end. Tensors are contiguous, on the rank's device, and owned by the caller; a call has read and written
// them when it returns (on a GPU: when the current stream has come so far).
class Comm {
 public:
  virtual ~Comm() = default;
  virtual std::int64_t rank() const = 0;
  virtual std::int64_t size() const = 0;

  // all (size × n) float32 or bfloat16 on every rank → own (n): the sum over ranks of part `rank`. `own` may be that
  // part of `all`; the other parts of `all` hold anything afterwards. Sums of bfloat16 are rounded once on the CPU; on
  // GPUs NCCL may round on the way.
  virtual void reduce_scatter(const at::Tensor& all, at::Tensor& own) = 0;
  // own (n) of any dtype → all (size × n): the parts in rank order. `own` may be its place in `all`.
  virtual void all_gather(const at::Tensor& own, at::Tensor& all) = 0;
  // A few numbers, float64, on the rank's device or on the CPU: values (n) → their sum over ranks.
  virtual void all_reduce(at::Tensor& values) = 0;
  // The tensor of `root` goes to all.
  virtual void broadcast(at::Tensor& tensor, std::int64_t root) = 0;
  // A text of any length, zeros included, of `root`: what all return. May wait for hours without using a core.
  virtual std::string broadcast_text(const std::string& text, std::int64_t root) = 0;
  virtual void barrier() = 0;

  // Frees whatever keeps this process inside a call, before it ends for the sake of the others. From any thread.
  virtual void abort() noexcept = 0;

  bool leads() const { return rank() == 0; }
  bool alone() const { return size() == 1; }
};

// One process: every sum is what went in. Nothing is needed and nothing is loaded.
std::unique_ptr<Comm> one_process();
Comm& alone();  // the same, for whoever was given none

// All ranks of this launch: a single process, MPI on the CPU, NCCL on a GPU. Collective. The latter two are modules,
// espalier_mpi and espalier_nccl. RecipeError when the launcher does not suit the device; Error when a module or its
// library is missing, or the ranks do not find each other.
std::unique_ptr<Comm> open_comm(const Launch& launch, const at::Device& device);

// Why ranks on such a device could not speak; "" when they can.
std::string comm_problem(const at::Device& device);

// Something that every rank does, rank 0 before the others: what it leaves on the disk is there for them, and a mistake
// that all would meet is said once. Collective.
template <class Act>
void leader_first(Comm& comm, const Act& act) {
  if (!comm.leads()) comm.barrier();
  act();
  if (comm.leads()) comm.barrier();
}

// What rank 0 finds out, for all. Collective; `measure` is called on rank 0.
double found_by_leader(Comm& comm, const std::function<double()>& measure);

// Each rank's text, of any length, in rank order: what all return. Collective.
std::vector<std::string> gather_texts(Comm& comm, const std::string& text);

}  // namespace espalier
