// SPDX-License-Identifier: Apache-2.0
#include "core/train/micro_batch.hpp"

namespace espalier {
namespace {

at::Tensor on_device(const at::Tensor& host, at::Device device) {
  if (!host.defined() || device.is_cpu()) return host;
  return host.pin_memory().to(device, /*non_blocking=*/true);
}

}  // namespace

at::Tensor kept_rows(const at::Tensor& labels) {
  const at::Tensor kept = labels.flatten().ne(kIgnoredLabel);
  return kept.all().item<bool>() ? at::Tensor() : kept.nonzero().flatten();
}

std::vector<MicroBatch> micro_batches(const TrainingStream& data, std::int64_t first, std::int64_t count,
                                      std::int64_t size, at::Device device) {
  const TrainingStream::Batch host = data.batch(first, count);
  const at::Tensor tokens = on_device(host.tokens, device), labels = on_device(host.labels, device);
  std::vector<MicroBatch> parts;
  for (std::int64_t begin = 0; begin < count; begin += size) {
    parts.push_back({first + begin, tokens.narrow(0, begin, size), labels.narrow(0, begin, size),
                     on_device(kept_rows(host.labels.narrow(0, begin, size)), device)});
  }
  return parts;
}

}  // namespace espalier
