// SPDX-License-Identifier: Apache-2.0
// Causal attention for the CPU, forward and backward, in tiles that stay in its caches, without the T × S matrix of
// scores (Dao et al., FlashAttention, arXiv 2205.14135, sections 3.1 and B.4). LibTorch's kernel of this kind
// multiplies its tiles with MKL, which leaves AVX-512 unused on CPUs of other makers and is slow on small matrices
// everywhere. Plain pointers, one task at a time; the caller shares tasks among threads. T is float or double.
#pragma once

#include <cstdint>

namespace espalier::cpu {

// A batch of matrices (positions, head_dim), one for each sequence and head, with rows that are contiguous.
template <class T>
struct Heads {
  T* data = nullptr;
  std::int64_t sequence = 0, head = 0, position = 0;  // strides, in elements

  T* at(std::int64_t b, std::int64_t n) const { return data + b * sequence + n * head; }
};

struct AttentionShape {
  std::int64_t batch = 0, heads = 0, groups = 0, positions = 0, head_dim = 0;
  std::int64_t window = 0;  // keys that a query sees: itself and the window − 1 before it
  double scale = 1.0;       // of the products of queries and keys
};

// out = softmax(scale · q kᵀ) v of one head; normalizer (positions) = ln Σ e^(scale · q·k) / scale, which the backward
// pass needs: in the units of the products, so that the difference to the largest is exact however large they are.
// `task` is sequence · heads + head; normalizer is that of the whole batch.
template <class T>
void attention(const AttentionShape& shape, std::int64_t task, const Heads<const T>& q, const Heads<const T>& k,
               const Heads<const T>& v, const Heads<T>& out, T* normalizer);

// dq of the heads of one group, and dk, dv of the group, from dout; overwritten. `task` is sequence · groups + group;
// normalizer is that of the whole batch.
template <class T>
void attention_backward(const AttentionShape& shape, std::int64_t task, const Heads<const T>& q,
                        const Heads<const T>& k, const Heads<const T>& v, const Heads<const T>& out,
                        const T* normalizer, const Heads<const T>& dout, const Heads<T>& dq, const Heads<T>& dk,
                        const Heads<T>& dv);

}  // namespace espalier::cpu
