// SPDX-License-Identifier: Apache-2.0
// What the teacher says of the distillation's tokens, computed once for all students and kept beside the runs.
#include <nlohmann/json.hpp>

#include "core/base/digest.hpp"
#include "core/base/log.hpp"
#include "core/base/strings.hpp"
#include "core/run/stages.hpp"
#include "core/run/teacher_cache.hpp"

namespace espalier {

namespace {

void tell(const nlohmann::json& cache) {
  const auto number = [&](const char* of, const char* which) { return cache.at(of).at(which).get<double>(); };
  std::string lost = "nothing is lost";
  if (number("kl_lost", "max") > 0.0) {
    lost = fmt::format("lost: {:.2g} nats of KL a token (at most {:.2g}), tail mass {:.2g} (at most {:.2g})",
                       number("kl_lost", "mean"), number("kl_lost", "max"), number("tail_mass", "mean"),
                       number("tail_mass", "max"));
  }
  spdlog::info("{:<8} {} tokens, {}, {}; {}", "teacher_cache", with_commas(cache.at("tokens").get<std::int64_t>()),
               cache.at("form").at("content").get<std::string>(), human_bytes(cache.at("bytes").get<double>()), lost);
  if (number("kl_lost", "max") == 0.0 && !cache.at("same_as_live").get<bool>()) {
    spdlog::warn(
        "teacher_cache: on this machine the teacher's last digits depend on the order of sequences: a student equals "
        "one "
        "beside a living teacher only up to rounding");
  }
}

}  // namespace

std::string teacher_cache_inputs(Run& run) {
  const TrainBlock& block = *run.recipe().distill;
  Digest digest;
  digest.add(run.distill_teacher().digest())
      .add(run.data_digest(DataPart::train))
      .add(teacher_cache_text(run.recipe()));
  digest.add(fmt::format("{} {} {} {} {} {}", block.total_steps(), block.global_batch, block.micro_batch,
                         block.seq_length, run.recipe().seed, c10::toString(run.compute().dtype)));
  return digest.hex();
}

std::string run_teacher_cache(Run& run) {
  const nlohmann::json cache = filled_teacher_cache(run);
  tell(cache);
  write_json(run.files().teacher_cache(), cache);
  return digest_of_file(run.files().teacher_cache());
}

}  // namespace espalier
