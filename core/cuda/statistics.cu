// SPDX-License-Identifier: Apache-2.0
// The statistics of activations (core/ops/arithmetic/statistics.hpp): x (samples, tokens, channels) is read once by
// (channels / pack, chunks, samples) threads; a second kernel merges the chunks of each channel in order.
#include "core/ops/arithmetic/statistics.hpp"

#include "core/cuda/kernels.hpp"
#include "core/cuda/launch.cuh"

namespace espalier::cuda {
namespace {

using arithmetic::ChunkStatistics;
using arithmetic::kStatisticsRows;

constexpr unsigned kThreads = 128;

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

}  // namespace espalier::cuda
