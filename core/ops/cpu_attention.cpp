// SPDX-License-Identifier: Apache-2.0
#include "core/ops/cpu_attention.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "core/ops/cpu_simd.hpp"

namespace espalier::cpu {
namespace {

constexpr std::int64_t kQueries = 32, kKeys = 256;  // of a tile of scores: 32 KB in float32

template <class T, int kBytes>
struct Vector {
  typedef T type __attribute__((vector_size(kBytes), aligned(alignof(T)), may_alias));
  static constexpr std::int64_t lanes = kBytes / static_cast<int>(sizeof(T));
};

// c (M, N · lanes) = or += a (M, depth) · b (depth, N · lanes). Element (m, k) of a lies at a[m · row + k · column].
// Each element of c is one sum over k in order, whatever M and N are.
template <class T, int kBytes, int M, int N>
ESPALIER_BODY void tile(const T* a, std::int64_t row, std::int64_t column, const T* b, std::int64_t b_row, T* c,
                        std::int64_t c_row, std::int64_t depth, bool add) {
  using V = typename Vector<T, kBytes>::type;
  constexpr std::int64_t lanes = Vector<T, kBytes>::lanes;
  V sum[M][N];
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) sum[m][n] = add ? *reinterpret_cast<const V*>(c + m * c_row + n * lanes) : V{};
  }
  for (std::int64_t k = 0; k < depth; ++k) {
    V right[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) right[n] = *reinterpret_cast<const V*>(b + k * b_row + n * lanes);
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) {
      const T left = a[m * row + k * column];
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) sum[m][n] += left * right[n];
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) *reinterpret_cast<V*>(c + m * c_row + n * lanes) = sum[m][n];
  }
}

template <class T, int kBytes, int M>
ESPALIER_BODY void panel(const T* a, std::int64_t row, std::int64_t column, const T* b, std::int64_t b_row, T* c,
                         std::int64_t c_row, std::int64_t columns, std::int64_t depth, bool add) {
  constexpr std::int64_t lanes = Vector<T, kBytes>::lanes;
  std::int64_t n = 0;
  for (; n + 2 * lanes <= columns; n += 2 * lanes) {
    tile<T, kBytes, M, 2>(a, row, column, b + n, b_row, c + n, c_row, depth, add);
  }
  if (n < columns) tile<T, kBytes, M, 1>(a, row, column, b + n, b_row, c + n, c_row, depth, add);
}

// c (rows, columns) = or += a · b for columns that are whole vectors.
template <class T, int kBytes>
ESPALIER_BODY void multiply(const T* a, std::int64_t row, std::int64_t column, const T* b, std::int64_t b_row, T* c,
                            std::int64_t c_row, std::int64_t rows, std::int64_t columns, std::int64_t depth, bool add) {
  constexpr int kRows = kBytes == 64 ? 8 : 4;  // sums that fit the registers
  std::int64_t m = 0;
  for (; m + kRows <= rows; m += kRows) {
    panel<T, kBytes, kRows>(a + m * row, row, column, b, b_row, c + m * c_row, c_row, columns, depth, add);
  }
  for (; m + 2 <= rows; m += 2) {
    panel<T, kBytes, 2>(a + m * row, row, column, b, b_row, c + m * c_row, c_row, columns, depth, add);
  }
  if (m < rows) panel<T, kBytes, 1>(a + m * row, row, column, b, b_row, c + m * c_row, c_row, columns, depth, add);
}

// `count` rows into rows of `width`, times `factor`, zeros behind them.
template <class T>
ESPALIER_BODY void pack_rows(const T* from, std::int64_t stride, std::int64_t count, std::int64_t head_dim, T factor,
                             T* to, std::int64_t width) {
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t d = 0; d < head_dim; ++d) to[i * width + d] = from[i * stride + d] * factor;
    for (std::int64_t d = head_dim; d < width; ++d) to[i * width + d] = T(0);
  }
}

// The transposed, (head_dim, width), zeros behind the last row.
template <class T>
ESPALIER_BODY void pack_columns(const T* from, std::int64_t stride, std::int64_t count, std::int64_t head_dim, T* to,
                                std::int64_t width) {
  for (std::int64_t d = 0; d < head_dim; ++d) {
    for (std::int64_t i = 0; i < count; ++i) to[d * width + i] = from[i * stride + d];
    for (std::int64_t i = count; i < width; ++i) to[d * width + i] = T(0);
  }
}

template <class T>
ESPALIER_BODY void unpack_rows(const T* from, std::int64_t width, std::int64_t count, std::int64_t head_dim, T* to,
                               std::int64_t stride) {
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t d = 0; d < head_dim; ++d) to[i * stride + d] = from[i * width + d];
  }
}

template <class T>
ESPALIER_BODY T exp_to_zero(T x) {
  return x < T(-87) ? T(0) : exp_of(x < T(-87) ? T(-87) : x);
}

constexpr std::int64_t whole(std::int64_t count, std::int64_t lanes) { return (count + lanes - 1) / lanes * lanes; }

// Columns [begin, end) of a tile, whose first key is `first`, that query `i` sees.
struct Seen {
  std::int64_t begin, end;
};
ESPALIER_BODY Seen seen(std::int64_t i, std::int64_t window, std::int64_t first, std::int64_t columns) {
  return {std::clamp<std::int64_t>(i - window + 1 - first, 0, columns),
          std::clamp<std::int64_t>(i + 1 - first, 0, columns)};
}

// The first key of the first tile for queries from `first` on. It does not depend on how many follow.
ESPALIER_BODY std::int64_t first_key(std::int64_t first, std::int64_t window, std::int64_t lanes) {
  return std::max<std::int64_t>(first - window + 1, 0) / lanes * lanes;
}

// One row of scores → e^(score − maximum) in place, with the running maximum and sum of FlashAttention. Returns what
// the sums so far must be multiplied by.
template <class T>
ESPALIER_BODY T soften(T* row, Seen of, std::int64_t columns, T& maximum, T& sum) {
  if (of.begin >= of.end) {
    for (std::int64_t j = 0; j < columns; ++j) row[j] = T(0);
    return T(1);
  }
  T largest = maximum;
#pragma omp simd reduction(max : largest)
  for (std::int64_t j = of.begin; j < of.end; ++j) largest = row[j] > largest ? row[j] : largest;
  T total = 0;
  for (std::int64_t j = 0; j < of.begin; ++j) row[j] = T(0);
#pragma omp simd reduction(+ : total)
  for (std::int64_t j = of.begin; j < of.end; ++j) {
    const T p = exp_to_zero(row[j] - largest);
    row[j] = p;
    total += p;
  }
  for (std::int64_t j = of.end; j < columns; ++j) row[j] = T(0);
  const T factor = maximum == largest ? T(1) : exp_to_zero(maximum - largest);
  maximum = largest;
  sum = sum * factor + total;
  return factor;
}

template <int kBytes>
struct Forward {
  template <class T>
  static ESPALIER_BODY void run(const AttentionShape* shape, const T* q, std::int64_t q_stride, const T* k,
                                std::int64_t k_stride, const T* v, std::int64_t v_stride, T* out,
                                std::int64_t out_stride, T* lse, T* scratch) {
    constexpr std::int64_t lanes = Vector<T, kBytes>::lanes;
    const std::int64_t positions = shape->positions, head_dim = shape->head_dim;
    const std::int64_t width = whole(head_dim, lanes), padded = whole(positions, lanes);
    T *keys = scratch, *values = keys + head_dim * padded, *queries = values + padded * width,
      *scores = queries + kQueries * width, *sums = scores + kQueries * kKeys;
    pack_columns(k, k_stride, positions, head_dim, keys, padded);
    const bool in_place = head_dim == width;
    if (!in_place) pack_rows(v, v_stride, positions, head_dim, T(1), values, width);
    const T* const right = in_place ? v : values;
    const std::int64_t right_stride = in_place ? v_stride : width;
    for (std::int64_t first = 0; first < positions; first += kQueries) {
      const std::int64_t rows = std::min(kQueries, positions - first), end = first + rows;
      T maximum[kQueries], sum[kQueries];
      for (std::int64_t i = 0; i < rows; ++i) maximum[i] = -std::numeric_limits<T>::infinity(), sum[i] = T(0);
      pack_rows(q + first * q_stride, q_stride, rows, head_dim, static_cast<T>(shape->scale), queries, width);
      bool add = false;
      for (std::int64_t key = first_key(first, shape->window, lanes); key < end; key += kKeys, add = true) {
        const std::int64_t seen_keys = std::min(kKeys, end - key), columns = whole(seen_keys, lanes);
        multiply<T, kBytes>(queries, width, 1, keys + key, padded, scores, kKeys, rows, columns, head_dim, false);
        for (std::int64_t i = 0; i < rows; ++i) {
          const T factor =
              soften(scores + i * kKeys, seen(first + i, shape->window, key, seen_keys), columns, maximum[i], sum[i]);
          if (!add || factor == T(1)) continue;
          for (std::int64_t d = 0; d < width; ++d) sums[i * width + d] *= factor;
        }
        multiply<T, kBytes>(scores, kKeys, 1, right + key * right_stride, right_stride, sums, width, rows, width,
                            seen_keys, add);
      }
      for (std::int64_t i = 0; i < rows; ++i) {
        const T share = T(1) / sum[i];
        for (std::int64_t d = 0; d < head_dim; ++d) out[(first + i) * out_stride + d] = sums[i * width + d] * share;
        lse[first + i] = maximum[i] + std::log(sum[i]);
      }
    }
  }
};

// Scores → probabilities, and dP → dS = P ∘ (dP − Σ_d dout · out), of the tile's rows; zero where a query does not see.
template <class T>
ESPALIER_BODY void score_gradients(T* scores, T* gradients, const T* lse, const T* delta, std::int64_t first,
                                   std::int64_t rows, std::int64_t window, std::int64_t key, std::int64_t seen_keys,
                                   std::int64_t columns) {
  for (std::int64_t i = 0; i < rows; ++i) {
    const Seen of = seen(first + i, window, key, seen_keys);
    T *row = scores + i * kKeys, *slope = gradients + i * kKeys;
    const T normalizer = lse[i], offset = delta[i];
    for (std::int64_t j = 0; j < of.begin; ++j) row[j] = slope[j] = T(0);
#pragma omp simd
    for (std::int64_t j = of.begin; j < of.end; ++j) {
      const T p = exp_to_zero(row[j] - normalizer);
      row[j] = p;
      slope[j] = p * (slope[j] - offset);
    }
    for (std::int64_t j = of.end; j < columns; ++j) row[j] = slope[j] = T(0);
  }
}

// The group's keys and values in every form that the backward pass multiplies with, and what it sums.
template <class T>
struct GroupScratch {
  T *keys_t, *values_t, *keys, *dkeys, *dvalues, *queries, *douts, *dqueries, *scores, *gradients;

  ESPALIER_BODY GroupScratch(T* at, std::int64_t head_dim, std::int64_t width, std::int64_t padded) {
    keys_t = at, values_t = keys_t + head_dim * padded;
    keys = values_t + head_dim * padded, dkeys = keys + padded * width, dvalues = dkeys + padded * width;
    queries = dvalues + padded * width, douts = queries + kQueries * width, dqueries = douts + kQueries * width;
    scores = dqueries + kQueries * width, gradients = scores + kQueries * kKeys;
  }
};

template <int kBytes>
struct Backward {
  template <class T>
  static ESPALIER_BODY void run(const AttentionShape* shape, std::int64_t sequence, std::int64_t group,
                                const Heads<const T>* q, const Heads<const T>* k, const Heads<const T>* v,
                                const Heads<const T>* out, const T* lse, const Heads<const T>* dout, const Heads<T>* dq,
                                const Heads<T>* dk, const Heads<T>* dv, T* scratch) {
    constexpr std::int64_t lanes = Vector<T, kBytes>::lanes;
    const std::int64_t positions = shape->positions, head_dim = shape->head_dim;
    const std::int64_t width = whole(head_dim, lanes), padded = whole(positions, lanes);
    const GroupScratch<T> at(scratch, head_dim, width, padded);
    pack_columns(k->at(sequence, group), k->position, positions, head_dim, at.keys_t, padded);
    pack_columns(v->at(sequence, group), v->position, positions, head_dim, at.values_t, padded);
    pack_rows(k->at(sequence, group), k->position, positions, head_dim, T(1), at.keys, width);
    std::fill(at.dkeys, at.dkeys + 2 * padded * width, T(0));
    const std::int64_t together = shape->heads / shape->groups;
    for (std::int64_t head = group * together; head < (group + 1) * together; ++head) {
      const T* const head_lse = lse + (sequence * shape->heads + head) * positions;
      for (std::int64_t first = 0; first < positions; first += kQueries) {
        const std::int64_t rows = std::min(kQueries, positions - first);
        const T* const theirs = dout->at(sequence, head) + first * dout->position;
        pack_rows(q->at(sequence, head) + first * q->position, q->position, rows, head_dim,
                  static_cast<T>(shape->scale), at.queries, width);
        pack_rows(theirs, dout->position, rows, head_dim, T(1), at.douts, width);
        T delta[kQueries];
        for (std::int64_t i = 0; i < rows; ++i) {
          const T* const mine = out->at(sequence, head) + (first + i) * out->position;
          T sum = 0;
#pragma omp simd reduction(+ : sum)
          for (std::int64_t d = 0; d < head_dim; ++d) sum += theirs[i * dout->position + d] * mine[d];
          delta[i] = sum;
        }
        query_rows(shape, at, width, padded, first, rows, head_lse + first, delta);
        for (std::int64_t i = 0; i < rows * width; ++i) at.dqueries[i] *= static_cast<T>(shape->scale);
        unpack_rows(at.dqueries, width, rows, head_dim, dq->at(sequence, head) + first * dq->position, dq->position);
      }
    }
    unpack_rows(at.dkeys, width, positions, head_dim, dk->at(sequence, group), dk->position);
    unpack_rows(at.dvalues, width, positions, head_dim, dv->at(sequence, group), dv->position);
  }

 private:
  template <class T>
  static ESPALIER_BODY void query_rows(const AttentionShape* shape, const GroupScratch<T>& at, std::int64_t width,
                                       std::int64_t padded, std::int64_t first, std::int64_t rows, const T* lse,
                                       const T* delta) {
    constexpr std::int64_t lanes = Vector<T, kBytes>::lanes;
    const std::int64_t end = first + rows, head_dim = shape->head_dim;
    bool add = false;
    for (std::int64_t key = first_key(first, shape->window, lanes); key < end; key += kKeys, add = true) {
      const std::int64_t keys = std::min(kKeys, end - key), columns = whole(keys, lanes);
      multiply<T, kBytes>(at.queries, width, 1, at.keys_t + key, padded, at.scores, kKeys, rows, columns, head_dim,
                          false);
      multiply<T, kBytes>(at.douts, width, 1, at.values_t + key, padded, at.gradients, kKeys, rows, columns, head_dim,
                          false);
      score_gradients(at.scores, at.gradients, lse, delta, first, rows, shape->window, key, keys, columns);
      multiply<T, kBytes>(at.scores, 1, kKeys, at.douts, width, at.dvalues + key * width, width, keys, width, rows,
                          true);
      multiply<T, kBytes>(at.gradients, 1, kKeys, at.queries, width, at.dkeys + key * width, width, keys, width, rows,
                          true);
      multiply<T, kBytes>(at.gradients, kKeys, 1, at.keys + key * width, width, at.dqueries, width, rows, width, keys,
                          add);
    }
  }
};

constexpr std::int64_t kMostLanes = 16;

// Kept by a thread from call to call: its size is that of one head.
template <class T>
T* scratch(std::int64_t size) {
  thread_local std::vector<T> memory;
  if (static_cast<std::int64_t>(memory.size()) < size) memory.resize(static_cast<std::size_t>(size));
  return memory.data();
}

}  // namespace

template <class T>
void attention(const AttentionShape& shape, std::int64_t task, const Heads<const T>& q, const Heads<const T>& k,
               const Heads<const T>& v, const Heads<T>& out, T* lse) {
  const std::int64_t b = task / shape.heads, head = task % shape.heads, group = head / (shape.heads / shape.groups);
  const std::int64_t width = whole(shape.head_dim, kMostLanes), padded = whole(shape.positions, kMostLanes);
  run_wide<Forward>(&shape, q.at(b, head), q.position, k.at(b, group), k.position, v.at(b, group), v.position,
                    out.at(b, head), out.position, lse + task * shape.positions,
                    scratch<T>(2 * padded * width + kQueries * (2 * width + kKeys)));
}

template <class T>
void attention_backward(const AttentionShape& shape, std::int64_t task, const Heads<const T>& q,
                        const Heads<const T>& k, const Heads<const T>& v, const Heads<const T>& out, const T* lse,
                        const Heads<const T>& dout, const Heads<T>& dq, const Heads<T>& dk, const Heads<T>& dv) {
  const std::int64_t width = whole(shape.head_dim, kMostLanes), padded = whole(shape.positions, kMostLanes);
  run_wide<Backward>(&shape, task / shape.groups, task % shape.groups, &q, &k, &v, &out, lse, &dout, &dq, &dk, &dv,
                     scratch<T>(5 * padded * width + kQueries * (3 * width + 2 * kKeys)));
}

#define ESPALIER_ATTENTION(T)                                                                                        \
  template void attention<T>(const AttentionShape&, std::int64_t, const Heads<const T>&, const Heads<const T>&,      \
                             const Heads<const T>&, const Heads<T>&, T*);                                            \
  template void attention_backward<T>(const AttentionShape&, std::int64_t, const Heads<const T>&,                    \
                                      const Heads<const T>&, const Heads<const T>&, const Heads<const T>&, const T*, \
                                      const Heads<const T>&, const Heads<T>&, const Heads<T>&, const Heads<T>&);
ESPALIER_ATTENTION(float)
ESPALIER_ATTENTION(double)

}  // namespace espalier::cpu
