// SPDX-License-Identifier: Apache-2.0
// Sums over much: the statistics of activations (core/ops/arithmetic/statistics.hpp) and the squares of a gradient.
// Statistics: x (samples, tokens, channels) is read once by (channels / pack, chunks, samples) threads; a second kernel
// merges the chunks of each channel in order.
// Squares: a grid of fixed size, so that the order is a function of the number of elements alone.
#include "core/ops/arithmetic/statistics.hpp"

#include "core/cuda/kernels.hpp"
#include "core/cuda/launch.cuh"

namespace espalier::cuda {
namespace {

using arithmetic::ChunkStatistics;
using arithmetic::kStatisticsRows;

constexpr unsigned kThreads = 128;
constexpr std::int64_t kTile = 4096;  // elements a thread block adds in float32 before float64 takes over

// Grid: channel tiles, chunks, samples.
template <int N, class T>
__global__ void chunk_kernel(Statistics call, std::int64_t chunks) {
  const std::int64_t channel = (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * N;
  if (channel >= call.channels) return;
  for (std::int64_t chunk = blockIdx.y; chunk < chunks; chunk += gridDim.y) {
    const std::int64_t first = chunk * kStatisticsRows, left = call.tokens - first;
    const std::int64_t sample = blockIdx.z, row = sample * call.tokens + first;
    ChunkStatistics found[N];
    arithmetic::chunk_statistics<N>(static_cast<const T*>(call.x) + row * call.channels + channel,
                                    left < kStatisticsRows ? left : kStatisticsRows, call.channels, found);
    auto* out = reinterpret_cast<ChunkStatistics*>(call.partial) + (sample * chunks + chunk) * call.channels + channel;
    for (int j = 0; j < N; ++j) out[j] = found[j];
  }
}

__global__ void merge_kernel(Statistics call, std::int64_t chunks) {
  const std::int64_t channel = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x, sample = blockIdx.y;
  if (channel >= call.channels) return;
  const auto* in = reinterpret_cast<const ChunkStatistics*>(call.partial) + sample * chunks * call.channels + channel;
  arithmetic::ColumnStatistics sum;
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const std::int64_t left = call.tokens - chunk * kStatisticsRows;
    arithmetic::add_chunk(sum, in[chunk * call.channels], left < kStatisticsRows ? left : kStatisticsRows);
  }
  double* out = call.out + sample * 4 * call.channels + channel;
  out[0] = sum.absolute;
  out[call.channels] = sum.square;
  out[2 * call.channels] = sum.mean;
  out[3 * call.channels] = sum.deviations;
}

template <int N, class T>
void launch(const Statistics& call, Stream stream) {
  const std::int64_t chunks = statistics_chunks(call.tokens), columns = (call.channels / N + kThreads - 1) / kThreads;
  const dim3 grid(static_cast<unsigned>(columns), static_cast<unsigned>(std::min<std::int64_t>(chunks, 65535)),
                  static_cast<unsigned>(call.samples));
  chunk_kernel<N, T><<<grid, kThreads, 0, stream>>>(call, chunks);
  const dim3 over_channels(static_cast<unsigned>((call.channels + kThreads - 1) / kThreads),
                           static_cast<unsigned>(call.samples));
  merge_kernel<<<over_channels, kThreads, 0, stream>>>(call, chunks);
}

// The block's doubles, added in the order of a fixed tree; thread 0 has the sum.
__device__ double block_sum(double mine) {
  __shared__ double parts[256];
  parts[threadIdx.x] = mine;
  __syncthreads();
  for (unsigned distance = blockDim.x / 2; distance > 0; distance /= 2) {
    if (threadIdx.x < distance) parts[threadIdx.x] += parts[threadIdx.x + distance];
    __syncthreads();
  }
  return parts[0];
}

template <class T>
__global__ void squares_kernel(const T* x, std::int64_t size, double* partial) {
  double mine = 0;
  for (std::int64_t tile = blockIdx.x; tile * kTile < size; tile += gridDim.x) {
    const std::int64_t end = (tile + 1) * kTile < size ? (tile + 1) * kTile : size;
    float sum = 0;
    for (std::int64_t i = tile * kTile + threadIdx.x; i < end; i += blockDim.x) {
      const float value = arithmetic::wide(x[i]);
      sum += value * value;
    }
    mine += sum;
  }
  const double total = block_sum(mine);
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

__global__ void add_squares_kernel(const double* partial, float* out) {
  double mine = 0;
  for (std::int64_t i = threadIdx.x; i < kSquareBlocks; i += blockDim.x) mine += partial[i];
  const double total = block_sum(mine);
  if (threadIdx.x == 0) *out = static_cast<float>(total);
}

}  // namespace

std::int64_t statistics_chunks(std::int64_t tokens) { return (tokens + kStatisticsRows - 1) / kStatisticsRows; }

void statistics(Number number, const Statistics& call, Stream stream) {
  if (call.samples * call.tokens * call.channels == 0) return;
  with_type(number, [&](auto type) {
    using T = typename decltype(type)::type;
    // Half of 16 bytes: a warp still reads whole lines, and there are twice as many threads.
    constexpr int kWide = kPack<T> / 2;
    const bool packs = packs_fit(call.channels, kWide, sizeof(T), {call.x});
    packs ? launch<kWide, T>(call, stream) : launch<1, T>(call, stream);
  });
}

void square_sum(Number number, const void* x, std::int64_t size, double* partial, float* out, Stream stream) {
  with_type(number, [&](auto type) {
    using T = typename decltype(type)::type;
    squares_kernel<T><<<kSquareBlocks, 256, 0, stream>>>(static_cast<const T*>(x), size, partial);
    add_squares_kernel<<<1, 256, 0, stream>>>(partial, out);
  });
}

}  // namespace espalier::cuda
