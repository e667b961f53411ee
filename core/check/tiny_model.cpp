// SPDX-License-Identifier: Apache-2.0
#include "core/check/tiny_model.hpp"

#include <ATen/ATen.h>

#include "core/base/random.hpp"
#include "core/run/save_model.hpp"
#include "espalier/testkit/specs.hpp"

namespace espalier {

ModelSpec tiny_spec(const std::string& family) { return testkit::small_spec(family); }

fs::path write_tiny(const fs::path& folder, const ModelSpec& spec, std::uint64_t seed, at::ScalarType dtype) {
  SaveRequest request;
  request.folder = folder;
  request.spec = spec;
  for (std::size_t i = 0; i < spec.layers.size(); ++i) request.layer_of.push_back(static_cast<std::int64_t>(i));
  request.dtype = dtype;
  CheckpointWriter writer = open_writer(request);
  std::uint64_t stream = seed;
  for (const Parameter& parameter : writer.parameters()) {
    at::Tensor tensor = at::empty(parameter.shape, at::kFloat);
    float* data = tensor.data_ptr<float>();
    ++stream;
    for (std::int64_t i = 0; i < tensor.numel(); ++i) {
      data[i] = static_cast<float>(0.4 * normal(mix(seed, stream), static_cast<std::uint64_t>(i)));
    }
    writer.write(tensor);
  }
  writer.commit();
  return folder;
}

}  // namespace espalier
