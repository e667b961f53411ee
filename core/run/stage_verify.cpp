// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/prune/verify.hpp"
#include "core/run/stages.hpp"
#include "core/run/verify_run.hpp"

namespace espalier {

std::string verify_inputs(Run& run) {
  Digest digest;
  digest.add(run.output_of("slice")).add(run.output_of("plan"));
  // Of the tokens that hidden states are compared on.
  digest.add(fmt::format("{} {}", run.data_digest(DataPart::calibration), run.recipe().score.seq_length));
  return digest.hex();
}

std::string run_verify(Run& run) {
  const Plan plan = run.plan();
  VerifyReport report;
  verify_tensors(run.pruned_model(), plan, run.student(), report);
  if (report.passed()) verify_states(run.pruned_model(), plan, run.student(), verification_tokens(run), report);
  if (!report.passed()) fail("verify: the student is not what its plan says\n  {}", report.problems.front());
  spdlog::info("{:<8} {} tensors equal; {} hidden states equal within {:.1e} on {} tokens", "verify", report.tensors,
               report.states, report.largest_difference, report.tokens);
  write_json(run.files().verify(), report_to_json(report));
  return verify_written(run);
}

std::string verify_written(Run& run) { return digest_of_file(run.files().verify()); }

}  // namespace espalier
