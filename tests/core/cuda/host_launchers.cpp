// SPDX-License-Identifier: Apache-2.0
// The launchers of core/cuda/kernels.hpp on the CPU: the same row programs, packs, thread counts, groups and chunks as
// the .cu files, with loops in place of blocks. Together with core/cuda/tensors.cpp they make the whole table.
#include <cmath>
#include <vector>

#include "core/cuda/kernels.hpp"
#include "core/cuda/launch.cuh"
#include "core/cuda/place.hpp"
#include "core/cuda/recording.hpp"
#include "core/ops/arithmetic/activation.hpp"
#include "core/ops/arithmetic/adamw.hpp"
#include "core/ops/arithmetic/kl.hpp"
#include "core/ops/arithmetic/norm.hpp"
#include "core/ops/arithmetic/rotary.hpp"
#include "core/ops/arithmetic/statistics.hpp"
#include "host_team.hpp"

namespace espalier::cuda {

struct Place::State {};
// Without a device there is nothing to launch: what was recorded is done again.
class Again final : public Recording {
 public:
  explicit Again(std::function<void()> work) : work_(std::move(work)) {}
  void play() override { work_(); }

 private:
  std::function<void()> work_;
};
std::unique_ptr<Recording> record(at::Device, const std::function<void()>& work) {
  return std::make_unique<Again>(work);
}

Place::Place(const at::Tensor&) {}
Place::~Place() = default;
Stream Place::stream() const { return nullptr; }
void Place::launched() const {}

namespace {

using test::HostTeam;

template <class T>
const T* at_row(const void* base, std::int64_t offset) {
  return base == nullptr ? nullptr : static_cast<const T*>(base) + offset;
}
template <class T>
T* at_row(void* base, std::int64_t offset) {
  return base == nullptr ? nullptr : static_cast<T*>(base) + offset;
}

template <bool kCentred, int N, class T>
void host_norm(const Norm& call) {
  HostTeam<N> team(threads_for(call.width / N, 512));
  for (std::int64_t row = 0; row < call.rows; ++row) {
    const std::int64_t at = row * call.width;
    arithmetic::norm_row<kCentred, N, T>(
        team, {at_row<T>(call.x, at), at_row<T>(call.residual, at), at_row<T>(call.weight, 0), at_row<T>(call.bias, 0),
               at_row<T>(call.sum, at), at_row<T>(call.y, at), call.mean == nullptr ? nullptr : call.mean + row,
               call.rstd == nullptr ? nullptr : call.rstd + row, call.width, call.eps, call.offset});
  }
}

template <bool kCentred, int N, class T>
void host_norm_backward(const NormBackward& call) {
  HostTeam<N> team(threads_for(call.width / N, 512));
  const std::int64_t pitch = call.width * (call.dbias != nullptr ? 2 : 1);
  std::fill_n(call.partial, call.groups * pitch, 0.0F);
  for (std::int64_t group = 0; group < call.groups; ++group) {
    float* const dweight = call.partial + group * pitch;
    for (std::int64_t row = group; row < call.rows; row += call.groups) {
      const std::int64_t at = row * call.width;
      arithmetic::norm_backward_row<kCentred, N, T>(
          team, {at_row<T>(call.dy, at), at_row<T>(call.dsum, at), at_row<T>(call.x, at), at_row<T>(call.weight, 0),
                 kCentred ? call.mean[row] : 0.0F, call.rstd[row], at_row<T>(call.dx, at), dweight,
                 call.dbias != nullptr ? dweight + call.width : nullptr, call.width, call.offset});
    }
  }
  for (std::int64_t i = 0; i < pitch; ++i) {
    float sum = 0;
    for (std::int64_t group = 0; group < call.groups; ++group) sum += call.partial[group * pitch + i];
    T* const out = static_cast<T*>(i < call.width ? call.dweight : call.dbias);
    out[i % call.width] = arithmetic::narrow<T>(sum);
  }
}

template <class Function, int N, class T>
void host_activate(const Activate& call) {
  for (std::int64_t i = 0; i < call.size; i += N) {
    arithmetic::activate<Function, N>(at_row<T>(call.gate, 0), at_row<T>(call.up, 0), at_row<T>(call.y, 0), i);
  }
}

template <class Function, int N, class T>
void host_activate_backward(const ActivateBackward& call) {
  for (std::int64_t i = 0; i < call.size; i += N) {
    arithmetic::activate_backward<Function, N>(at_row<T>(call.dy, 0), at_row<T>(call.gate, 0), at_row<T>(call.up, 0),
                                               at_row<T>(call.dgate, 0), at_row<T>(call.dup, 0), i);
  }
}

template <int N, class T>
void host_rotate(const Rotate& call) {
  HostTeam<N> team(threads_for(call.heads * (call.width - call.rotary / 2) / N, 256));
  for (std::int64_t block = 0; block < call.batch * call.positions; ++block) {
    const std::int64_t batch = block / call.positions, position = block % call.positions;
    arithmetic::rotate_position<N, T>(
        team, {at_row<T>(call.x, batch * call.strides[0] + position * call.strides[2]),
               at_row<T>(call.cos, position * call.rotary), at_row<T>(call.sin, position * call.rotary),
               at_row<T>(call.y, block * call.heads * call.width), call.heads, call.width, call.rotary, call.strides[1],
               call.sign});
  }
}

template <bool kCe, int N, class G>
void host_kl(const KlPass& call) {
  HostTeam<N> team(threads_for(call.width / N, 512));
  for (std::int64_t row = 0; row < call.rows; ++row) {
    const std::int64_t at = row * call.width;
    arithmetic::kl_row<kCe, N, float, G>(
        team, {call.student + at, call.teacher + at, at_row<G>(call.gradient, at), call.kl + row,
               kCe ? call.ce + row : nullptr, kCe ? call.labels[row] : 0, call.width, call.temperature, call.kl_scale,
               call.ce_scale, call.accumulate});
  }
}

template <class M>
void host_adamw(const AdamW& call) {
  const arithmetic::AdamWNumbers numbers{call.keep, call.beta1,      call.rest1, call.beta2, call.rest2,
                                         call.rate, call.correction, call.eps,   call.factor};
  const arithmetic::AdamWArrays<M> arrays{call.master,
                                          static_cast<Bf16*>(call.weight),
                                          static_cast<std::int16_t*>(call.rest),
                                          call.bf16_gradient ? nullptr : static_cast<const float*>(call.gradient),
                                          call.bf16_gradient ? static_cast<const Bf16*>(call.gradient) : nullptr,
                                          at_row<M>(call.first, 0),
                                          at_row<M>(call.second, 0)};
  for (std::int64_t i = 0; i < call.size; ++i) arithmetic::adamw_element(arrays, i, numbers);
}

template <int N, class T>
void host_statistics(const Statistics& call) {
  using arithmetic::kStatisticsRows;
  for (std::int64_t sample = 0; sample < call.samples; ++sample) {
    std::vector<arithmetic::ColumnStatistics> sums(static_cast<std::size_t>(call.channels));
    for (std::int64_t first = 0; first < call.tokens; first += kStatisticsRows) {
      const std::int64_t rows = std::min(kStatisticsRows, call.tokens - first);
      for (std::int64_t channel = 0; channel < call.channels; channel += N) {
        arithmetic::ChunkStatistics found[N];
        arithmetic::chunk_statistics<N>(at_row<T>(call.x, (sample * call.tokens + first) * call.channels + channel),
                                        rows, call.channels, found);
        for (int j = 0; j < N; ++j) arithmetic::add_chunk(sums[static_cast<std::size_t>(channel + j)], found[j], rows);
      }
    }
    for (std::int64_t channel = 0; channel < call.channels; ++channel) {
      const arithmetic::ColumnStatistics& sum = sums[static_cast<std::size_t>(channel)];
      double* const out = call.out + sample * 4 * call.channels + channel;
      out[0] = sum.absolute, out[call.channels] = sum.square;
      out[2 * call.channels] = sum.mean, out[3 * call.channels] = sum.deviations;
    }
  }
}

}  // namespace

void norm(Number number, const Norm& call, Stream) {
  with_type(number, [&](auto type) {
    using T = typename decltype(type)::type;
    const bool packs =
        packs_fit(call.width, kPack<T>, sizeof(T), {call.x, call.residual, call.weight, call.bias, call.sum, call.y});
    if (call.centred) {
      packs ? host_norm<true, kPack<T>, T>(call) : host_norm<true, 1, T>(call);
    } else {
      packs ? host_norm<false, kPack<T>, T>(call) : host_norm<false, 1, T>(call);
    }
  });
}

void norm_backward(Number number, const NormBackward& call, Stream) {
  if (call.rows == 0) return;
  with_type(number, [&](auto type) {
    using T = typename decltype(type)::type;
    const bool packs = packs_fit(call.width, kPack<T>, sizeof(T), {call.dy, call.dsum, call.x, call.weight, call.dx});
    if (call.centred) {
      packs ? host_norm_backward<true, kPack<T>, T>(call) : host_norm_backward<true, 1, T>(call);
    } else {
      packs ? host_norm_backward<false, kPack<T>, T>(call) : host_norm_backward<false, 1, T>(call);
    }
  });
}

void activate(Number number, const Activate& call, Stream) {
  with_type(number, [&](auto type) {
    using T = typename decltype(type)::type;
    const bool packs = packs_fit(call.size, kPack<T>, sizeof(T), {call.gate, call.up, call.y});
    if (call.function == 0) {
      packs ? host_activate<arithmetic::Silu, kPack<T>, T>(call) : host_activate<arithmetic::Silu, 1, T>(call);
    } else {
      packs ? host_activate<arithmetic::SquaredRelu, kPack<T>, T>(call)
            : host_activate<arithmetic::SquaredRelu, 1, T>(call);
    }
  });
}

void activate_backward(Number number, const ActivateBackward& call, Stream) {
  with_type(number, [&](auto type) {
    using T = typename decltype(type)::type;
    const bool packs = packs_fit(call.size, kPack<T>, sizeof(T), {call.dy, call.gate, call.up, call.dgate, call.dup});
    if (call.function == 0) {
      packs ? host_activate_backward<arithmetic::Silu, kPack<T>, T>(call)
            : host_activate_backward<arithmetic::Silu, 1, T>(call);
    } else {
      packs ? host_activate_backward<arithmetic::SquaredRelu, kPack<T>, T>(call)
            : host_activate_backward<arithmetic::SquaredRelu, 1, T>(call);
    }
  });
}

void rotate(Number number, const Rotate& call, Stream) {
  with_type(number, [&](auto type) {
    using T = typename decltype(type)::type;
    bool packs = packs_fit(call.rotary / 2, kPack<T>, sizeof(T), {call.x, call.cos, call.sin, call.y}) &&
                 (call.width - call.rotary) % kPack<T> == 0;
    for (const std::int64_t stride : call.strides) packs = packs && stride % kPack<T> == 0;
    packs ? host_rotate<kPack<T>, T>(call) : host_rotate<1, T>(call);
  });
}

void kl_rows(Number gradient, const KlPass& call, Stream) {
  with_type(gradient, [&](auto type) {
    using G = typename decltype(type)::type;
    constexpr int kWide = kPack<float>;
    const bool packs = packs_fit(call.width, kWide, sizeof(float), {call.student, call.teacher}) &&
                       packs_fit(call.width, kWide, sizeof(G), {call.gradient});
    if (call.ce != nullptr) {
      packs ? host_kl<true, kWide, G>(call) : host_kl<true, 1, G>(call);
    } else {
      packs ? host_kl<false, kWide, G>(call) : host_kl<false, 1, G>(call);
    }
  });
}

void adamw(const AdamW& call, Stream) { call.bf16_moments ? host_adamw<Bf16>(call) : host_adamw<float>(call); }

std::int64_t statistics_chunks(std::int64_t tokens) {
  return (tokens + arithmetic::kStatisticsRows - 1) / arithmetic::kStatisticsRows;
}

void statistics(Number number, const Statistics& call, Stream) {
  with_type(number, [&](auto type) {
    using T = typename decltype(type)::type;
    constexpr int kWide = kPack<T> / 2;
    packs_fit(call.channels, kWide, sizeof(T), {call.x}) ? host_statistics<kWide, T>(call)
                                                         : host_statistics<1, T>(call);
  });
}

void gather(const Gather& call, Stream) {
  const char* from = static_cast<const char*>(call.x);
  char* to = static_cast<char*>(call.out);
  const std::int64_t run = call.inner * call.bytes;
  for (std::int64_t row = 0; row < call.outer; ++row) {
    for (std::int64_t k = 0; k < call.kept; ++k, to += run) {
      std::copy_n(from + (row * call.extent + call.index[k]) * run, run, to);
    }
  }
}

}  // namespace espalier::cuda
