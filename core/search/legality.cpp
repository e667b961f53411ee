// SPDX-License-Identifier: Apache-2.0
#include "core/search/legality.hpp"

#include <algorithm>

#include "core/model/family.hpp"

namespace espalier {
namespace {

bool every_layer(const ModelSpec& spec, bool (*holds)(const LayerSpec&)) {
  return std::all_of(spec.layers.begin(), spec.layers.end(), holds);
}

// The length of every matrix row: hidden, ffn, and the heads' outputs.
bool rows_divide(const ModelSpec& spec, std::int64_t multiple) {
  if (spec.hidden % multiple != 0) return false;
  return std::all_of(spec.layers.begin(), spec.layers.end(), [&](const LayerSpec& layer) {
    return (!layer.mlp || layer.ffn % multiple == 0) &&
           (!layer.attention || layer.heads() * layer.head_dim % multiple == 0);
  });
}

bool alike_but_windows(const ModelSpec& spec) {
  return std::all_of(spec.layers.begin(), spec.layers.end(), [&](LayerSpec layer) {
    layer.sliding_window = spec.layers.front().sliding_window;
    return layer == spec.layers.front() && layer.attention && layer.mlp;
  });
}

struct Rule {
  const char* who;
  const char* what;
  bool (*holds)(const ModelSpec& spec);
};

const Rule kRules[] = {
    // One number for each size in config.json (transformers, configuration_llama.py and the like); MO searches uniform
    // models only for this reason (minitron.md section 9.1).
    {"transformers, vLLM, llama.cpp", "layers differ, for which config.json has no words", alike_but_windows},
    // minitron.md section 6.5: hidden 3072 with 32 heads of 128 needs transformers PR 32857 and llama.cpp PR 8922
    // (issue 9060 is what happens without: hidden / heads is taken for the head's size).
    {"old engines", "heads × head_dim is not hidden: the engine must read head_dim",
     [](const ModelSpec& spec) {
       const LayerSpec& layer = spec.layers.front();
       return !layer.attention || layer.heads() * layer.head_dim == spec.hidden;
     }},
    // FlashAttention's README: head dimensions up to 256, in multiples of 8.
    {"FlashAttention", "head_dim is not a multiple of 8 up to 256",
     [](const ModelSpec& spec) {
       return every_layer(spec, [](const LayerSpec& layer) {
         return !layer.attention || (layer.head_dim % 8 == 0 && layer.head_dim <= 256);
       });
     }},
    // Transformer Engine, FP8 primer: both dimensions of a matrix are multiples of 16.
    {"FP8", "a row is not a multiple of 16", [](const ModelSpec& spec) { return rows_divide(spec, 16); }},
    // llama.cpp issue 2708: blocks of 32 are a hard requirement for the quantized types.
    {"llama.cpp quants", "a row is not a multiple of 32", [](const ModelSpec& spec) { return rows_divide(spec, 32); }},
    // NVIDIA's matrix multiplication guide, section 2.2: 128 bytes on A100, 64 elements of 16 bits.
    {"tensor cores", "a row is not a multiple of 64", [](const ModelSpec& spec) { return rows_divide(spec, 64); }},
    // llama.cpp PR 1921: super-blocks of 256; other tensors fall back to a larger type.
    {"llama.cpp k-quants", "a row is not a multiple of 256",
     [](const ModelSpec& spec) { return rows_divide(spec, 256); }},
};

std::int64_t common_multiple(const ModelSpec& spec) {
  std::int64_t multiple = 256;
  const auto divides = [&] {
    return spec.hidden % multiple == 0 &&
           std::all_of(spec.layers.begin(), spec.layers.end(),
                       [&](const LayerSpec& layer) { return !layer.mlp || layer.ffn % multiple == 0; });
  };
  while (!divides()) multiple /= 2;
  return multiple;
}

// vLLM, verify_with_parallel_config (issue 2652): the heads divide; its model files ask the same of the KV groups
// (issue 11797). The columns of the MLP are cut the same way.
bool divides_over(const ModelSpec& spec, std::int64_t size) {
  return std::all_of(spec.layers.begin(), spec.layers.end(), [&](const LayerSpec& layer) {
    return (!layer.attention || (layer.heads() % size == 0 && layer.kv_groups % size == 0)) &&
           (!layer.mlp || layer.ffn % size == 0);
  });
}

}  // namespace

Legality legality_of(const ModelSpec& spec) {
  Legality legality;
  legality.multiple = common_multiple(spec);
  for (const std::int64_t size : {1, 2, 4, 8}) {
    if (divides_over(spec, size)) legality.parallel.push_back(size);
  }
  for (const Rule& rule : kRules) {
    if (!rule.holds(spec)) legality.broken.push_back({rule.who, rule.what});
  }
  if (alike_but_windows(spec)) {  // unlike layers are told above
    for (const std::string& note : compatibility_notes(spec)) legality.broken.push_back({"transformers", note});
  }
  return legality;
}

}  // namespace espalier
