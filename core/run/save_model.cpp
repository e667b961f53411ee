// SPDX-License-Identifier: Apache-2.0
#include "core/run/save_model.hpp"

#include "core/base/error.hpp"

namespace espalier {

std::string config_dtype(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "float32";
    case at::kBFloat16:
      return "bfloat16";
    case at::kHalf:
      return "float16";
    default:
      ESPALIER_CHECK(false, "no checkpoint is written in dtype ", static_cast<int>(dtype));
  }
}

CheckpointWriter open_writer(const SaveRequest& request) {
  const nlohmann::json config =
      write_config(request.spec, request.base_config, request.layer_of, config_dtype(request.dtype));
  CheckpointWriter writer(request.folder, request.spec, config, request.dtype, request.shard_bytes);
  for (const fs::path& file : request.side_files) writer.add_side_file(file);
  if (!request.provenance.is_null()) writer.add_json(kProvenanceFile, request.provenance);
  return writer;
}

}  // namespace espalier
