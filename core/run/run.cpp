// SPDX-License-Identifier: Apache-2.0
#include "core/run/run.hpp"

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/checkpoint/layout.hpp"
#include "core/prune/plan_json.hpp"
#include "core/run/stages.hpp"

namespace espalier {

fs::path relative(const Run& run, const fs::path& path) { return path.lexically_relative(run.files().root); }

std::string side_files_digest(const Checkpoint& checkpoint) {
  Digest digest;
  for (const fs::path& file : checkpoint.side_files()) digest.add(file.filename().string()).add(digest_of_file(file));
  return digest.hex();
}

void RunHost::info(const std::string& text) const { spdlog::info(text); }
void RunHost::warn(const std::string& text) const { spdlog::warn(text); }

fs::path checkpoint_folder(const fs::path& path) {
  if (fs::exists(path / "config.json")) return path;
  if (fs::exists(path / "export" / "config.json")) return path / "export";
  if (fs::exists(path / "recipe.toml"))
    fail("{}: the run has no export yet; expected a finished run: espalier run {}", path.string(),
         (path / "recipe.toml").string());
  if (!fs::exists(path))
    fail("{}: there is no such folder; expected a Hugging Face checkpoint or a run directory", path.string());
  fail("{}: not a model; got a folder without config.json; expected a Hugging Face checkpoint or a run directory",
       path.string());
}

Run::Run(Recipe recipe, const Registry& registry, Compute compute, Comm& comm)
    : recipe_(std::move(recipe)),
      registry_(registry),
      compute_(compute),
      comm_(comm),
      files_{recipe_.output},
      host_(recipe_.seed),
      ledger_(files_) {}

namespace {

// The folder's config.json; where there is no such folder yet, the one that the recipe names.
fs::path config_of(const fs::path& folder, const fs::path& named) {
  return named.empty() || fs::exists(folder) ? checkpoint_folder(folder) / kConfigFile : named;
}

// The spec of a model that the recipe names. A folder that is there must have the architecture of the config beside it.
ModelSpec spec_of(const fs::path& folder, const fs::path& named) {
  const fs::path path = config_of(folder, named);
  const ModelSpec spec = read_spec(read_json(path), path.string());
  if (named.empty() || path == named) return spec;
  const nlohmann::json got = spec_to_json(spec), expected = spec_to_json(read_spec(read_json(named), named.string()));
  for (const auto& [key, value] : expected.items()) {
    if (got[key] == value || key == "max_positions") continue;  // revisions of one model differ in that
    fail("{}: not the architecture of {}; got {} = {}; expected {}", path.string(), named.string(), key,
         got[key].dump(), value.dump());
  }
  return spec;
}

}  // namespace

ModelSpec Run::teacher_spec() const {
  const TeacherBlock& teacher = recipe_.teacher;
  return teacher.spec ? *teacher.spec : spec_of(teacher.path, teacher.config);
}

at::ScalarType Run::teacher_dtype() const {
  if (recipe_.teacher.spec) return at::kFloat;
  const fs::path path = config_of(recipe_.teacher.path, recipe_.teacher.config);
  const nlohmann::json config = read_json(path);
  for (const char* key : {"dtype", "torch_dtype"}) {
    if (config.contains(key) && config[key].is_string())
      return dtype_from_config(config[key].get<std::string>(), path.string());
  }
  return at::kFloat;
}

const Checkpoint& Run::given_teacher() {
  ESPALIER_CHECK(!recipe_.teacher.spec, "the teacher starts from a spec");
  if (!given_teacher_) {
    teacher_spec();  // agrees with the recipe's config
    given_teacher_.emplace(checkpoint_folder(recipe_.teacher.path));
  }
  return *given_teacher_;
}

const Checkpoint& Run::teacher() {
  if (!recipe_.correct && !recipe_.teacher.spec) return given_teacher();
  if (!corrected_teacher_) corrected_teacher_.emplace(files_.teacher());
  return *corrected_teacher_;
}

const Checkpoint& Run::pruned_model() { return recipe_.prunes_original() ? given_teacher() : teacher(); }

const Checkpoint& Run::distill_teacher() {
  if (!recipe_.has_distill_teacher()) return teacher();
  if (!distill_teacher_) distill_teacher_.emplace(checkpoint_folder(recipe_.distill->teacher));
  return *distill_teacher_;
}

ModelSpec Run::distill_teacher_spec() const {
  if (!recipe_.has_distill_teacher()) return teacher_spec();
  return spec_of(recipe_.distill->teacher, recipe_.distill->teacher_config);
}

const Checkpoint& Run::student() {
  if (!student_) student_.emplace(files_.student());
  return *student_;
}

void Run::forget_models() {
  corrected_teacher_.reset();
  student_.reset();
}

Plan Run::plan() const { return plan_from_json(read_json(files_.plan()), files_.plan().string()); }

std::string Run::tokenizer() const {
  if (!recipe_.data.tokenizer.empty()) return recipe_.data.tokenizer;
  if (!recipe_.teacher.spec) {
    const fs::path folder = checkpoint_folder(recipe_.teacher.path);
    if (fs::exists(folder / "tokenizer.json")) return folder.string();
  }
  return "bytes";
}

const std::vector<TokenSource>& Run::data(DataPart part) {
  if (const auto found = data_.find(part); found != data_.end()) return found->second;
  const DataBlock& block = recipe_.data;
  const bool own =
      part == DataPart::valid ? !block.valid.empty() : part == DataPart::calibration && !block.calibration.empty();
  const std::vector<SourceBlock>& entries = !own                      ? block.train
                                            : part == DataPart::valid ? block.valid
                                                                      : block.calibration;
  std::vector<TokenSource>& result = data_[part];
  if (part == DataPart::valid && !own && block.valid_fraction <= 0) return result;
  if (entries.empty()) {
    reject("{}: error: [data] train is missing; expected train = \"FILE\", a glob, or a list of them",
           recipe_.file.string());
  }
  DataRequest request;
  for (const SourceBlock& entry : entries) request.sources.push_back({entry.path, entry.weight, entry.name});
  request.tokenizer = tokenizer();
  request.token_type = block.token_type;
  request.deduplicate = block.deduplicate;
  request.cache = files_.cache() / "tokens";
  const bool split = !own && block.valid.empty() && block.valid_fraction > 0;
  const Split which = !split ? Split::all : part == DataPart::valid ? Split::valid : Split::train;
  result = prepare(request, which, block.valid_fraction);
  return result;
}

std::string Run::data_digest(DataPart part) {
  Digest digest;
  for (const TokenSource& source : data(part)) {
    digest.add(source.name).add(source.weight ? std::to_string(*source.weight) : "").add(source.tokens.digest());
  }
  return digest.hex();
}

std::string Run::component_digest(const ComponentBlock& block) {
  const ComponentInfo info = registry_.describe(block);
  Digest digest;
  digest.add(info.kind).add(info.name);
  for (const FieldInfo& field : info.fields) {
    const Value* given = block.find(field.name);
    digest.add(field.name).add(to_text(given != nullptr ? *given : field.fallback));
  }
  std::string& library = plugin_digests_[info.plugin.path];
  if (library.empty()) library = info.plugin.path.empty() ? "-" : digest_of_file(info.plugin.path);
  return digest.add(library).hex();
}

std::string Run::output_of(const std::string& stage) const {
  const auto found = outputs_.find(stage);
  return found == outputs_.end() ? "" : found->second;
}

}  // namespace espalier
