// SPDX-License-Identifier: Apache-2.0
#include "core/run/shared_stage.hpp"

#include <ATen/Parallel.h>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/data/path_lock.hpp"

namespace espalier {

namespace {

// All that decides the bytes of the products: inputs, what the stage adds to them, the program, and how it computes.
fs::path pointer_of(Run& run, const Stage& stage, const std::string& inputs) {
  Digest key;
  key.add(inputs).add(stage.sharing->basis(run)).add(ESPALIER_VERSION);
  key.add(
      fmt::format("{} {} {}", c10::toString(run.compute().dtype), run.compute().device.str(), at::get_num_threads()));
  if (stage.all_ranks && !run.comm().alone()) key.add(fmt::format("{} ranks", run.comm().size()));
  return run.files().cache() / "stages" / fmt::format("{}-{}", stage.name, key.hex());
}

// Weights are large and are only ever replaced whole, so that two names for one file are safe; the rest is copied.
void link_or_copy(const fs::path& from, const fs::path& to) {
  std::error_code error;
  if (from.extension() == ".safetensors") {
    fs::create_directories(to.parent_path(), error);
    fs::remove(to, error);
    fs::create_hard_link(from, to, error);
    if (!error) return;
  }
  espalier::copy_file(from, to);
}

void take(const fs::path& from, const fs::path& to) {
  if (!fs::is_directory(from)) return link_or_copy(from, to);
  PendingFolder folder(to);
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(from)) {
    const fs::path place = folder.path() / entry.path().lexically_relative(from);
    if (entry.is_directory()) {
      fs::create_directories(place);
    } else {
      link_or_copy(entry.path(), place);
    }
  }
  folder.commit();
}

bool is_same_folder(const fs::path& a, const fs::path& b) {
  std::error_code error;
  return fs::equivalent(a, b, error);
}

}  // namespace

SharedStage::SharedStage(Run& run, const Stage& stage, const std::string& inputs)
    : run_(run),
      stage_(stage),
      inputs_(inputs),
      pointer_(pointer_of(run, stage, inputs)),
      lock_(std::make_unique<PathLock>(pointer_)) {}

SharedStage::~SharedStage() = default;

std::optional<std::string> SharedStage::take_over() {
  if (!fs::exists(pointer_)) return std::nullopt;
  const nlohmann::json pointer = read_json(pointer_);
  const std::string outputs = pointer.value("outputs", "");
  maker_ = run_.files().cache().parent_path() / pointer.value("run", "");
  const RunFiles files{maker_};
  if (!fs::exists(files.ledger()) || is_same_folder(maker_, run_.files().root)) return std::nullopt;
  if (Ledger(files).finished(stage_.name, inputs_) != outputs) return std::nullopt;
  const std::vector<fs::path> products = stage_.sharing->products(run_);
  for (const fs::path& product : products) {
    if (!fs::exists(maker_ / product)) return std::nullopt;
  }
  for (const fs::path& product : products) take(maker_ / product, run_.files().root / product);
  if (stage_.sharing->personalise != nullptr) stage_.sharing->personalise(run_);
  if (stage_.sharing->written(run_) == outputs) return outputs;
  spdlog::warn("{:<8} {} does not hold what it says it does; made again", stage_.name, maker_.string());
  if (stage_.discard != nullptr) stage_.discard(run_, stage_.name);
  run_.forget_models();
  return std::nullopt;
}

void SharedStage::publish(const std::string& outputs) const {
  const fs::path beside = run_.files().cache().parent_path();
  const fs::path root = fs::absolute(run_.files().root).lexically_normal();
  write_json(pointer_, {{"run", root.lexically_relative(fs::absolute(beside).lexically_normal()).string()},
                        {"outputs", outputs}});
}

}  // namespace espalier
