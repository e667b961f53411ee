// SPDX-License-Identifier: Apache-2.0
#include "core/ops/cpu_attention.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "core/ops/cpu_tile.hpp"

namespace espalier::cpu {
namespace {

constexpr std::int64_t kQueries = 32, kKeys = 256;  // of a tile of scores: 32 KB in float32

template <class T>
struct Rows {
  const T* data;
  std::int64_t stride;
};

// Rows whose width is whole vectors: those that are there, or a copy in `space` with zeros behind them.
template <class T>
ESPALIER_BODY Rows<T> whole_rows(const T* from, std::int64_t stride, std::int64_t count, std::int64_t head_dim,
                                 T* space, std::int64_t width) {
  if (head_dim == width) return {from, stride};
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t d = 0; d < head_dim; ++d) space[i * width + d] = from[i * stride + d];
    for (std::int64_t d = head_dim; d < width; ++d) space[i * width + d] = T(0);
  }
  return {space, width};
}

// The transposed, (head_dim, width), zeros behind the last row. A few rows at a time: they lie far apart, on few of the
// cache's sets.
template <class T>
ESPALIER_BODY void pack_columns(const T* from, std::int64_t stride, std::int64_t count, std::int64_t head_dim, T* to,
                                std::int64_t width) {
  constexpr std::int64_t kRows = 16;
  for (std::int64_t first = 0; first < count; first += kRows) {
    const std::int64_t end = std::min(first + kRows, count);
    for (std::int64_t d = 0; d < head_dim; ++d) {
      for (std::int64_t i = first; i < end; ++i) to[d * width + i] = from[i * stride + d];
    }
  }
  for (std::int64_t d = 0; d < head_dim; ++d) std::fill(to + d * width + count, to + (d + 1) * width, T(0));
}

template <class T>
ESPALIER_BODY void unpack_rows(const T* from, std::int64_t width, std::int64_t count, std::int64_t head_dim, T* to,
                               std::int64_t stride) {
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t d = 0; d < head_dim; ++d) to[i * stride + d] = from[i * width + d];
  }
}

// e^x for x ≤ 0, but for rounding.
template <class T>
ESPALIER_BODY T exp_to_zero(T x) {
  const T inside = x < T(-87) ? T(-87) : (x > T(0) ? T(0) : x);
  return x < T(-87) ? T(0) : exp_of(inside);
}

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

// One row of products → e^(scale · (product − maximum)) in place, with the running maximum and sum of FlashAttention.
// Returns what the sums so far must be multiplied by.
template <class T>
ESPALIER_BODY T soften(T* row, T scale, Seen of, std::int64_t columns, T& maximum, T& sum) {
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
    const T p = exp_to_zero(scale * (row[j] - largest));
    row[j] = p;
    total += p;
  }
  for (std::int64_t j = of.end; j < columns; ++j) row[j] = T(0);
  const T factor = maximum == largest ? T(1) : exp_to_zero(scale * (maximum - largest));
  maximum = largest;
  sum = sum * factor + total;
  return factor;
}

template <int kBytes>
struct Forward {
  template <class T>
  static ESPALIER_BODY void run(const AttentionShape* shape, const T* q, std::int64_t q_stride, const T* k,
                                std::int64_t k_stride, const T* v, std::int64_t v_stride, T* out,
                                std::int64_t out_stride, T* normalizer, T* scratch) {
    constexpr std::int64_t lanes = Vector<T, kBytes>::lanes;
    const std::int64_t positions = shape->positions, head_dim = shape->head_dim;
    const std::int64_t width = whole(head_dim, lanes), padded = whole(positions, lanes);
    const T scale = static_cast<T>(shape->scale);
    T *keys = scratch, *values = keys + head_dim * padded, *scores = values + padded * width,
      *sums = scores + kQueries * kKeys;
    pack_columns(k, k_stride, positions, head_dim, keys, padded);
    const Rows<T> right = whole_rows(v, v_stride, positions, head_dim, values, width);
    for (std::int64_t first = 0; first < positions; first += kQueries) {
      const std::int64_t rows = std::min(kQueries, positions - first), end = first + rows;
      T maximum[kQueries], sum[kQueries];
      for (std::int64_t i = 0; i < rows; ++i) maximum[i] = -std::numeric_limits<T>::infinity(), sum[i] = T(0);
      bool add = false;
      for (std::int64_t key = first_key(first, shape->window, lanes); key < end; key += kKeys, add = true) {
        const std::int64_t seen_keys = std::min(kKeys, end - key), columns = whole(seen_keys, lanes);
        multiply<T, kBytes>(q + first * q_stride, q_stride, 1, keys + key, padded, scores, kKeys, rows, columns,
                            head_dim, false);
        for (std::int64_t i = 0; i < rows; ++i) {
          const T factor = soften(scores + i * kKeys, scale, seen(first + i, shape->window, key, seen_keys), columns,
                                  maximum[i], sum[i]);
          if (!add || factor == T(1)) continue;
          for (std::int64_t d = 0; d < width; ++d) sums[i * width + d] *= factor;
        }
        multiply<T, kBytes>(scores, kKeys, 1, right.data + key * right.stride, right.stride, sums, width, rows, width,
                            seen_keys, add);
      }
      for (std::int64_t i = 0; i < rows; ++i) {
        const T share = T(1) / sum[i];
        for (std::int64_t d = 0; d < head_dim; ++d) out[(first + i) * out_stride + d] = sums[i * width + d] * share;
        normalizer[first + i] = maximum[i] + std::log(sum[i]) / scale;
      }
    }
  }
};

// One row of products → probabilities, and dP → scale · P ∘ (dP − delta), the gradient of the products; zero where the
// query does not see.
template <class T>
ESPALIER_BODY void score_gradients(T* scores, T* gradients, T scale, T normalizer, T delta, Seen of,
                                   std::int64_t columns) {
  for (std::int64_t j = 0; j < of.begin; ++j) scores[j] = gradients[j] = T(0);
#pragma omp simd
  for (std::int64_t j = of.begin; j < of.end; ++j) {
    const T p = exp_to_zero(scale * (scores[j] - normalizer));
    scores[j] = p;
    gradients[j] = scale * p * (gradients[j] - delta);
  }
  for (std::int64_t j = of.end; j < columns; ++j) scores[j] = gradients[j] = T(0);
}

// What the backward pass of a group writes to, and copies of what does not lie as it multiplies.
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

// A few queries of one head, and what is known of them.
template <class T>
struct QueryRows {
  Rows<T> queries, douts;
  const T* normalizer;
  T delta[kQueries];  // Σ_d dout · out
  std::int64_t first, count;
};

template <int kBytes>
struct Backward {
  template <class T>
  static ESPALIER_BODY void run(const AttentionShape* shape, std::int64_t sequence, std::int64_t group,
                                const Heads<const T>* q, const Heads<const T>* k, const Heads<const T>* v,
                                const Heads<const T>* out, const T* normalizer, const Heads<const T>* dout,
                                const Heads<T>* dq, const Heads<T>* dk, const Heads<T>* dv, T* scratch) {
    constexpr std::int64_t lanes = Vector<T, kBytes>::lanes;
    const std::int64_t positions = shape->positions, head_dim = shape->head_dim;
    const std::int64_t width = whole(head_dim, lanes), padded = whole(positions, lanes);
    const GroupScratch<T> at(scratch, head_dim, width, padded);
    pack_columns(k->at(sequence, group), k->position, positions, head_dim, at.keys_t, padded);
    pack_columns(v->at(sequence, group), v->position, positions, head_dim, at.values_t, padded);
    const Rows<T> keys = whole_rows(k->at(sequence, group), k->position, positions, head_dim, at.keys, width);
    std::fill(at.dkeys, at.dkeys + 2 * padded * width, T(0));
    const std::int64_t together = shape->heads / shape->groups;
    for (std::int64_t head = group * together; head < (group + 1) * together; ++head) {
      const T* const head_normalizer = normalizer + (sequence * shape->heads + head) * positions;
      for (std::int64_t first = 0; first < positions; first += kQueries) {
        const std::int64_t count = std::min(kQueries, positions - first);
        const T* const queries = q->at(sequence, head) + first * q->position;
        const T* const douts = dout->at(sequence, head) + first * dout->position;
        QueryRows<T> rows{whole_rows(queries, q->position, count, head_dim, at.queries, width),
                          whole_rows(douts, dout->position, count, head_dim, at.douts, width),
                          head_normalizer + first,
                          {},
                          first,
                          count};
        deltas(rows, out->at(sequence, head) + first * out->position, out->position, head_dim);
        gradients(shape, at, keys, rows, width, padded);
        unpack_rows(at.dqueries, width, count, head_dim, dq->at(sequence, head) + first * dq->position, dq->position);
      }
    }
    unpack_rows(at.dkeys, width, positions, head_dim, dk->at(sequence, group), dk->position);
    unpack_rows(at.dvalues, width, positions, head_dim, dv->at(sequence, group), dv->position);
  }

 private:
  template <class T>
  static ESPALIER_BODY void deltas(QueryRows<T>& rows, const T* out, std::int64_t stride, std::int64_t head_dim) {
    for (std::int64_t i = 0; i < rows.count; ++i) {
      const T *dout = rows.douts.data + i * rows.douts.stride, *mine = out + i * stride;
      T sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::int64_t d = 0; d < head_dim; ++d) sum += dout[d] * mine[d];
      rows.delta[i] = sum;
    }
  }

  // Adds to the gradients of keys and values, and makes those of the queries, tile by tile of keys.
  template <class T>
  static ESPALIER_BODY void gradients(const AttentionShape* shape, const GroupScratch<T>& at, const Rows<T>& keys,
                                      const QueryRows<T>& rows, std::int64_t width, std::int64_t padded) {
    constexpr std::int64_t lanes = Vector<T, kBytes>::lanes;
    const std::int64_t end = rows.first + rows.count, head_dim = shape->head_dim;
    const Rows<T>&q = rows.queries, &dout = rows.douts;
    bool add = false;
    for (std::int64_t key = first_key(rows.first, shape->window, lanes); key < end; key += kKeys, add = true) {
      const std::int64_t count = std::min(kKeys, end - key), columns = whole(count, lanes), begin = key * width;
      multiply<T, kBytes>(q.data, q.stride, 1, at.keys_t + key, padded, at.scores, kKeys, rows.count, columns, head_dim,
                          false);
      multiply<T, kBytes>(dout.data, dout.stride, 1, at.values_t + key, padded, at.gradients, kKeys, rows.count,
                          columns, head_dim, false);
      for (std::int64_t i = 0; i < rows.count; ++i) {
        score_gradients(at.scores + i * kKeys, at.gradients + i * kKeys, static_cast<T>(shape->scale),
                        rows.normalizer[i], rows.delta[i], seen(rows.first + i, shape->window, key, count), columns);
      }
      multiply<T, kBytes>(at.scores, 1, kKeys, dout.data, dout.stride, at.dvalues + begin, width, count, width,
                          rows.count, true);
      multiply<T, kBytes>(at.gradients, 1, kKeys, q.data, q.stride, at.dkeys + begin, width, count, width, rows.count,
                          true);
      multiply<T, kBytes>(at.gradients, kKeys, 1, keys.data + key * keys.stride, keys.stride, at.dqueries, width,
                          rows.count, width, count, add);
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
               const Heads<const T>& v, const Heads<T>& out, T* normalizer) {
  const std::int64_t b = task / shape.heads, head = task % shape.heads, group = head / (shape.heads / shape.groups);
  const std::int64_t width = whole(shape.head_dim, kMostLanes), padded = whole(shape.positions, kMostLanes);
  run_wide<Forward>(&shape, q.at(b, head), q.position, k.at(b, group), k.position, v.at(b, group), v.position,
                    out.at(b, head), out.position, normalizer + task * shape.positions,
                    scratch<T>(2 * padded * width + kQueries * (width + kKeys)));
}

template <class T>
void attention_backward(const AttentionShape& shape, std::int64_t task, const Heads<const T>& q,
                        const Heads<const T>& k, const Heads<const T>& v, const Heads<const T>& out,
                        const T* normalizer, const Heads<const T>& dout, const Heads<T>& dq, const Heads<T>& dk,
                        const Heads<T>& dv) {
  const std::int64_t width = whole(shape.head_dim, kMostLanes), padded = whole(shape.positions, kMostLanes);
  run_wide<Backward>(&shape, task / shape.groups, task % shape.groups, &q, &k, &v, &out, normalizer, &dout, &dq, &dk,
                     &dv, scratch<T>(5 * padded * width + kQueries * (3 * width + 2 * kKeys)));
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
