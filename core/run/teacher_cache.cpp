// SPDX-License-Identifier: Apache-2.0
#include "core/run/teacher_cache.hpp"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/version.h>
#include <nlohmann/json.hpp>

#include "core/base/digest.hpp"
#include "core/base/strings.hpp"
#include "core/train/teacher_cache_fill.hpp"

namespace espalier {

namespace {

// Whatever else can move the last digit of what the teacher says. The kind of device without its number: ranks have
// different ones, and share a cache.
std::string machine_of(const Run& run) {
  return fmt::format("espalier {}, torch {}, {}, {} threads, {}", ESPALIER_VERSION, TORCH_VERSION,
                     c10::DeviceTypeName(run.compute().device.type(), /*lower_case=*/true), at::get_num_threads(),
                     at::get_cpu_capability());
}

// All but the digests.
TeacherCacheForm form_without_digests(const Run& run, const TrainBlock& block) {
  const TeacherCacheBlock& cache = *run.recipe().teacher_cache;
  const ModelSpec spec = run.distill_teacher_spec();
  TeacherCacheForm form;
  form.seq_length = block.seq_length;
  form.vocab = spec.vocab;
  form.hidden = spec.hidden;
  form.kept = cache.kept_of(spec.vocab);
  form.micro_batch = block.micro_batch;
  form.dtype = dtype_from_config(cache.dtype, run.recipe().file.string());
  form.compute_dtype = run.compute().dtype;
  form.machine = machine_of(run);
  return form;
}

// Of the tokens alone: how sources are mixed is another order of the same windows.
std::string tokens_digest(Run& run) {
  Digest digest;
  for (const TokenSource& source : run.data(DataPart::train)) digest.add(source.tokens.digest());
  return digest.hex();
}

struct Filled {
  TeacherCache cache;
  Touched touched;
  fs::path folder;
};

Filled fill(Run& run, const TrainBlock& block) {
  TeacherCacheJob job;
  job.form = form_without_digests(run, block);
  job.form.teacher = run.distill_teacher().digest();
  job.form.data = tokens_digest(run);
  job.folder = run.files().teacher_caches() / job.form.key();
  const TrainingStream stream(run.data(DataPart::train), block.seq_length, run.recipe().seed);
  job.data = &stream;
  job.open_teacher = [&run] { return std::make_unique<Model>(run.distill_teacher(), run.compute()); };
  Touched touched = windows_of(stream, block.total_steps() * block.global_batch);
  TeacherCache cache = fill_teacher_cache(job, touched);
  return {std::move(cache), std::move(touched), job.folder};
}

}  // namespace

std::string teacher_cache_text(const Recipe& recipe) {
  if (!recipe.teacher_cache) return "";
  return fmt::format("teacher_cache {} {}", recipe.teacher_cache->k, recipe.teacher_cache->dtype);
}

Teaching open_teaching(Run& run, const TrainBlock& block) {
  if (!run.recipe().teacher_cache) return {std::make_unique<Model>(run.distill_teacher(), run.compute()), std::nullopt};
  Teaching teaching;
  leader_first(run.comm(), [&] { teaching.cache.emplace(fill(run, block).cache); });  // the others find all of it
  // Of a model that is streamed only what is asked for is read: here the head.
  if (teaching.cache->form().whole()) {
    teaching.weights = std::make_unique<StreamedWeights>(run.distill_teacher(), run.compute());
  }
  return teaching;
}

nlohmann::json filled_teacher_cache(Run& run) {
  const Filled filled = fill(run, *run.recipe().distill);
  const TeacherCacheForm& form = filled.cache.form();
  const TeacherCacheSummary summary = filled.cache.summary(filled.touched.places);
  return {{"key", form.key()},
          {"form", form.metadata()},
          {"windows", summary.windows},
          {"tokens", summary.tokens},
          {"bytes", form.bytes(summary.windows)},
          {"tail_mass", {{"mean", summary.tail_mass}, {"max", summary.most_tail_mass}}},
          {"kl_lost", {{"mean", summary.kl}, {"max", summary.most_kl}}},
          {"same_as_live", form.lossless() && summary.in_any_order}};
}

nlohmann::json teacher_cache_plan(const Run& run) {
  const TrainBlock& block = *run.recipe().distill;
  TeacherCacheForm form = form_without_digests(run, block);
  form.teacher = form.data = Digest().hex();  // as long as any
  const std::int64_t windows = block.total_steps() * block.global_batch;
  return {{"content", form.whole() ? "final hidden states" : "largest logits"},
          {"k", form.kept},
          {"dtype", dtype_to_config(form.dtype)},
          {"windows", windows},
          {"tokens", windows * block.seq_length},
          {"bytes", form.bytes(windows)}};
}

std::string teacher_cache_line(const nlohmann::json& plan) {
  const std::string content = plan.at("content").get<std::string>();
  const std::string what =
      content == "largest logits" ? fmt::format("the {} largest logits", plan.at("k").get<std::int64_t>()) : content;
  return fmt::format("teacher_cache: {} in {} of {} tokens = {} bytes at most\n", what,
                     plan.at("dtype").get<std::string>(), with_commas(plan.at("tokens").get<std::int64_t>()),
                     with_commas(plan.at("bytes").get<std::int64_t>()));
}

}  // namespace espalier
