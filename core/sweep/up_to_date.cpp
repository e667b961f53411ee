// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/up_to_date.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/data/sources.hpp"
#include "core/run/lock.hpp"
#include "core/run/pipeline.hpp"

namespace espalier {
namespace {

// A file that was written to has another time or size; reading all of a teacher would take longer.
std::string stamp(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return path.string() + " is not there";
  return fmt::format("{} {} {}.{:09} {}", path.string(), status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                     status.st_ino);
}

void add_model(const fs::path& path, Digest& digest) {
  std::error_code error;
  const fs::path folder = fs::exists(path / "config.json") ? path : path / "export";
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) digest.add(stamp(file));
}

void add_sources(const std::vector<SourceBlock>& sources, Digest& digest) {
  for (const SourceBlock& entry : sources) {
    const Source source = resolve({entry.path, entry.weight, entry.name});
    if (source.is_tokens) digest.add(stamp(source.path));
    for (const TextFile& file : source.files) digest.add(stamp(file.path));
  }
}

bool has_products(const Recipe& recipe) {
  const RunFiles files{recipe.output};
  return std::all_of(stages().begin(), stages().end(),
                     [&](const Stage& stage) { return !stage.wanted(recipe) || fs::exists(stage.product(files)); });
}

}  // namespace

FinishedRuns::FinishedRuns(const fs::path& folder, const Registry& registry, const std::string& device)
    : path_(folder / ".finished.json"), registry_(registry) {
  Digest digest;
  digest.add(stamp(fs::read_symlink("/proc/self/exe"))).add(ESPALIER_VERSION).add(device);
  for (const PluginInfo& plugin : registry.plugins()) digest.add(stamp(plugin.path));
  program_ = digest.hex();
  if (fs::exists(path_)) known_ = read_json(path_);
  if (!known_.is_object()) known_ = nlohmann::json::object();
}

std::string FinishedRuns::key(const SweepRun& run) {
  Digest digest;
  digest.add(program_).add(resolved_recipe(run.recipe, registry_));
  if (!run.recipe.teacher.path.empty()) add_model(run.recipe.teacher.path, digest);
  if (run.recipe.has_distill_teacher()) add_model(run.recipe.distill->teacher, digest);
  const DataBlock& data = run.recipe.data;
  for (const auto* sources : {&data.train, &data.valid, &data.calibration}) add_sources(*sources, digest);
  if (fs::exists(data.tokenizer)) digest.add(stamp(data.tokenizer));
  for (const TaskBlock& task : run.recipe.eval.tasks) digest.add(stamp(task.path));
  return digest.hex();
}

bool FinishedRuns::has(const SweepRun& run) {
  return known_.contains(run.name) && has_products(run.recipe) && known_[run.name] == key(run);
}

void FinishedRuns::add(const SweepRun& run) {
  known_[run.name] = key(run);
  write_json(path_, known_);
}

}  // namespace espalier
