// SPDX-License-Identifier: Apache-2.0
#include "core/cli/inspect.hpp"

#include <ATen/ATen.h>

#include "core/base/error.hpp"
#include "core/checkpoint/checkpoint.hpp"
#include "core/data/tokens.hpp"
#include "core/model/counts.hpp"
#include "core/plugin/describe.hpp"
#include "core/plugin/loader.hpp"
#include "core/prune/plan_json.hpp"
#include "core/run/run_files.hpp"
#include "core/train/teacher_cache.hpp"

namespace espalier {

namespace {

using nlohmann::json;

json counts_json(const ModelSpec& spec, std::int64_t element) {
  const Counts counts = count(spec, element, 1);
  return {{"parameters", counts.parameters},
          {"non_embedding_parameters", counts.non_embedding_parameters},
          {"bytes", counts.bytes}};
}

json inspect_checkpoint(const fs::path& folder) {
  const Checkpoint checkpoint(folder);
  json result = {{"kind", "checkpoint"},
                 {"spec", spec_to_json(checkpoint.spec())},
                 {"dtype", dtype_name(checkpoint.dtype())},
                 {"digest", checkpoint.digest()}};
  result.update(counts_json(checkpoint.spec(), static_cast<std::int64_t>(c10::elementSize(checkpoint.dtype()))));
  if (fs::exists(folder / "espalier.json")) result["provenance"] = read_json(folder / "espalier.json");
  for (const fs::path& file : checkpoint.side_files()) result["side_files"].push_back(file.filename().string());
  return result;
}

json inspect_safetensors(const fs::path& path) {
  const SafetensorsFile file(path);
  json result = {{"kind", "safetensors"}, {"metadata", file.metadata()}, {"tensors", json::array()}};
  for (const TensorInfo& info : file.tensors()) {
    json entry = {{"name", info.name}, {"dtype", dtype_name(info.dtype)}, {"shape", info.shape}};
    if (info.elements() > 0 && at::isFloatingType(info.dtype)) {
      const at::Tensor values = file.tensor(info).to(at::kDouble);
      entry["min"] = values.min().item<double>();
      entry["max"] = values.max().item<double>();
      entry["mean"] = values.mean().item<double>();
    }
    result["tensors"].push_back(std::move(entry));
  }
  return result;
}

json inspect_plan(const fs::path& path) {
  const json document = read_json(path);
  const Plan plan = plan_from_json(document, path.string());
  json result = {{"kind", "plan"}, {"layer_of", plan.layer_of}, {"axes", document.at("axes")}};
  for (const char* side : {"teacher", "student"}) result[side] = document.at(side);
  return result;
}

json inspect_tokens(const fs::path& path, const std::string& token_type) {
  const TokenFile tokens(path, token_type);
  return {{"kind", "tokens"},
          {"tokens", tokens.size()},
          {"documents", tokens.document_ends().size()},
          {"loss_mask", tokens.has_loss_mask()},
          {"text_bytes", tokens.text_bytes() ? json(*tokens.text_bytes()) : json(nullptr)},
          {"digest", tokens.digest()}};
}

json inspect_plugin(const fs::path& path) {
  Registry registry;
  load_plugin(path, registry);
  return {{"kind", "plugin"}, {"components", plugins_json(registry, "")}};
}

json inspect_run(const fs::path& folder) {
  const RunFiles files{folder};
  json result = {{"kind", "run"}, {"stages", json::object()}};
  const json stages = fs::exists(files.ledger()) ? read_json(files.ledger()) : json::object();
  for (const auto& [stage, entry] : stages.items())
    result["stages"][stage] = entry.contains("outputs") ? "done" : "begun";
  if (fs::exists(files.eval())) result["eval"] = read_json(files.eval());
  if (fs::exists(files.teacher_cache())) result["teacher_cache"] = read_json(files.teacher_cache());
  if (fs::exists(files.plan())) result["plan"] = inspect_plan(files.plan());
  return result;
}

}  // namespace

json inspect(const fs::path& path, const std::string& token_type) {
  if (!fs::exists(path) && !fs::exists(path.string() + ".idx"))
    fail("{}: there is no such file or folder", path.string());
  if (fs::exists(path / "recipe.lock.toml")) return inspect_run(path);
  if (fs::exists(path / "config.json")) return inspect_checkpoint(path);
  if (is_teacher_cache(path)) return describe_teacher_cache(path);
  const std::string extension = path.extension().string();
  if (extension == ".safetensors") return inspect_safetensors(path);
  if (extension == ".so") return inspect_plugin(path);
  if (extension == ".json") return inspect_plan(path);
  if (extension == ".bin" || extension == ".idx" || fs::exists(path.string() + ".idx"))
    return inspect_tokens(path, token_type);
  fail(
      "{}: nothing that can be inspected; expected a run or checkpoint folder, .safetensors, plan.json, .bin, .idx or "
      ".so",
      path.string());
}

}  // namespace espalier
