// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include <ATen/core/grad_mode.h>
#include <ATen/core/Tensor.h>
#include <ATen/Parallel.h>

namespace espalier::plugins {

// Calls body(first, count) for blocks of rows that stay in a core's cache while several operations pass over them; the
// blocks run on all threads. On a GPU there is one block.
template <class Body>
void for_row_blocks(const at::Tensor& logits, const Body& body) {
  constexpr std::int64_t kBlock = 1 << 15;  // elements; three float32 temporaries of it fit a cache of 512 KiB
  const std::int64_t rows = logits.size(0), columns = std::max<std::int64_t>(logits.size(1), 1);
  if (!logits.is_cpu()) return body(0, rows);
  const std::int64_t height = std::max<std::int64_t>(kBlock / columns, 1), blocks = (rows + height - 1) / height;
  at::parallel_for(0, blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    const at::NoGradGuard no_grad;  // grad mode belongs to the thread
    for (std::int64_t block = begin; block < end; ++block) {
      body(block * height, std::min(height, rows - block * height));
    }
  });
}

}  // namespace espalier::plugins
