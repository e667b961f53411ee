// SPDX-License-Identifier: Apache-2.0
#include "core/report/runs.hpp"

#include <cmath>
#include <numeric>

#include "core/base/error.hpp"
#include "core/report/recipes.hpp"

namespace espalier {
namespace {

using nlohmann::json;

void check_sums(const fs::path& path, const DocumentLosses& losses, const json& measured) {
  const double nll = std::accumulate(losses.nll.begin(), losses.nll.end(), 0.0);
  const auto tokens = std::accumulate(losses.tokens.begin(), losses.tokens.end(), std::int64_t{0});
  const double expected = measured.at("nll").get<double>() * measured.at("tokens").get<double>();
  if (tokens == measured.at("tokens").get<std::int64_t>() && std::abs(nll - expected) <= 1e-6 * std::abs(expected))
    return;
  fail("{}: not the losses of eval.json beside it; got {} tokens with nll {}; expected {} with {}", path.string(),
       tokens, nll, measured["tokens"].get<std::int64_t>(), expected);
}

std::optional<DocumentLosses> losses_of(const fs::path& run, const char* model, const json& measured) {
  const fs::path path = run / "documents" / (std::string(model) + ".safetensors");
  if (!measured.is_object() || !measured.contains("nll") || !fs::exists(path)) return std::nullopt;
  DocumentsFile file = load_documents(path);
  check_sums(path, file.losses, measured);
  return std::move(file.losses);
}

std::string digests_of(const json& protocol) {
  std::string text;
  for (const json& source : protocol.value("data", json::array()))
    text += (text.empty() ? "" : ", ") + source.value("digest", "").substr(0, 12);
  return text;
}

}  // namespace

json RunRecord::teacher() const {
  // Students are held against the model that taught them, which in a family need not be the one they are cut from.
  for (const char* key : {"distill_teacher", "teacher"}) {
    if (finished() && eval.contains(key)) return eval[key];
  }
  return nullptr;
}

bool is_run(const fs::path& folder) { return fs::exists(folder / "recipe.toml") || fs::exists(folder / "eval.json"); }

RunRef run_ref(const fs::path& folder) {
  RunRef ref;
  const fs::path plain = folder.has_filename() ? folder : folder.parent_path();
  const bool exported = plain.filename() == "export" && is_run(plain.parent_path());
  ref.name = (exported ? plain.parent_path() : plain).filename().string();
  ref.folder = folder;
  if (const std::optional<RunRecipe> recipe = read_run_recipe(folder)) {
    ref.seed = recipe->seed;
    ref.teacher = recipe->teacher.filename().string();
  }
  return ref;
}

RunRecord read_run(const RunRef& ref) {
  RunRecord run;
  run.ref = ref;
  if (ref.measured) {
    run.eval = ref.measured->eval;
    run.after = ref.measured->documents;
  } else if (ref.state == "done") {
    if (!fs::exists(ref.folder / "eval.json")) {
      fail(
          "{}: nothing to compare; got no eval.json in it; expected a finished run with validation data or choice "
          "tasks",
          ref.folder.string());
    }
    run.eval = read_json(ref.folder / "eval.json");
    run.after = losses_of(ref.folder, "export", run.eval);
    run.before = losses_of(ref.folder, "before", run.eval.value("before", json()));
  }
  if (!run.finished()) return run;
  if (fs::exists(ref.folder / "plan.json")) run.plan = read_json(ref.folder / "plan.json");
  if (fs::exists(ref.folder / "timings.json")) {
    run.seconds = 0.0;
    const json timings = read_json(ref.folder / "timings.json");
    for (const auto& [stage, seconds] : timings.items()) *run.seconds += seconds.get<double>();
  }
  return run;
}

void check_same_windows(const RunRecord& a, const RunRecord& b) {
  if (!a.after || !b.after) return;
  const json &left = a.eval.at("protocol"), &right = b.eval.at("protocol");
  const auto differ = [&](const std::string& what, const std::string& ours, const std::string& theirs) {
    reject("{} and {} were not measured alike: {} differs; got {} and {}; expected the same windows of the same data",
           a.ref.name, b.ref.name, what, ours, theirs);
  };
  if (digests_of(left) != digests_of(right)) differ("data", digests_of(left), digests_of(right));
  for (const char* key : {"seq_length", "stride", "windows", "windows_available", "dtype", "device"}) {
    const std::string ours = left.value(key, json()).dump(), theirs = right.value(key, json()).dump();
    if (ours != theirs) differ(key, ours, theirs);
  }
  const auto same = [](const DocumentLosses& x, const DocumentLosses& y) {
    return x.source == y.source && x.document == y.document && x.tokens == y.tokens;
  };
  if (!same(*a.after, *b.after) || (a.before && !same(*a.before, *a.after)))
    differ("the documents behind the windows", std::to_string(a.after->size()), std::to_string(b.after->size()));
}

}  // namespace espalier
