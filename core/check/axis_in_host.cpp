// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <unistd.h>  // access

#include <map>
#include <optional>

#include "core/base/interrupt.hpp"
#include "core/base/temporary_folder.hpp"
#include "core/check/kit.hpp"
#include "core/check/tiny_model.hpp"
#include "core/prune/planner.hpp"
#include "core/prune/slicer.hpp"
#include "core/prune/verify.hpp"
#include "core/run/save_model.hpp"
#include "espalier/testkit/axis_cases.hpp"

namespace espalier {
namespace {

// In memory where the system has such a place: every checkpoint is synced, and hundreds of them are written.
fs::path quick_place() {
  const char* memory = "/dev/shm";
  return access(memory, W_OK) == 0 ? fs::path(memory) : fs::temp_directory_path();
}

// Tiny teachers, one for each family, and students cut from them.
class Workshop {
 public:
  const Checkpoint& teacher(const std::string& family) {
    std::unique_ptr<Checkpoint>& made = teachers_[family];
    if (!made) made = std::make_unique<Checkpoint>(write_tiny(folder_ / family, tiny_spec(family), 11));
    return *made;
  }

  // What is wrong with the student of this plan; nothing when it computes what the masked teacher does.
  std::string judge(const Checkpoint& teacher, const Plan& plan) {
    throw_if_interrupted();
    const fs::path folder = folder_ / "student";
    SaveRequest request;
    request.folder = folder;
    request.spec = plan.student;
    request.base_config = teacher.config();
    request.layer_of = plan.layer_of;
    request.dtype = teacher.dtype();
    CheckpointWriter writer = open_writer(request);
    slice(teacher, plan, writer);
    writer.commit();
    const Checkpoint student(folder);
    VerifyReport report;
    verify_tensors(teacher, plan, student, report);
    verify_states(teacher, plan, student, at::arange(40, at::kLong).mul(7).remainder(31).reshape({2, 20}), report);
    return report.passed() ? "" : report.problems.front();
  }

 private:
  TemporaryFolder folder_{quick_place()};
  std::map<std::string, std::unique_ptr<Checkpoint>> teachers_;
};

struct Cut {
  std::string axis;
  const PruningAxis* with = nullptr;
};

struct Planned {
  Plan plan;
  std::string text;  // "'ffn' 12 of 20, 'hidden' 16 of 24"
};

// A legal keep near two thirds of what is there.
std::int64_t keep_of(const PruningAxis& axis, const ModelSpec& spec) {
  const std::int64_t extent = axis.extent(spec), step = axis.step(spec);
  if (extent < 1 || step < 1)
    fail("no units to cut; got an extent of {} and a step of {}; expected 1 or more", extent, step);
  const std::vector<std::int64_t> keeps = testkit::legal_keeps(extent, step);
  std::int64_t best = keeps.front();
  for (const std::int64_t keep : keeps) {
    if (keep < extent && std::abs(3 * keep - 2 * extent) < std::abs(3 * best - 2 * extent)) best = keep;
  }
  return best;
}

// Does the axis speak of this family at all?
bool accepts(const PruningAxis& axis, const ModelSpec& spec) {
  try {
    return axis.extent(spec) >= 1;
  } catch (const Error&) {
    return false;  // whether it may refuse is judged by axis/extent
  }
}

// Cuts one after the other, each a legal one for what the cuts before it left. Nothing when those left unequal layers,
// which an axis may refuse.
std::optional<Planned> plan_of(const ModelSpec& teacher, const std::vector<Cut>& cuts) {
  std::vector<PruneBlock> blocks(cuts.size());
  std::vector<Scores> scores;
  Planned planned;
  for (std::size_t i = 0; i < cuts.size(); ++i) {
    scores.push_back(testkit::shuffled_scores(teacher, cuts[i].with->describe(), 2 + i));
  }
  for (std::size_t count = 1; count <= cuts.size(); ++count) {
    const ModelSpec& spec = count == 1 ? teacher : planned.plan.student;
    const Cut& last = cuts[count - 1];
    if (!spec.uniform() && !accepts(*last.with, spec)) return std::nullopt;
    blocks[count - 1].keep = keep_of(*last.with, spec);
    planned.text += fmt::format("{}'{}' {} of {}", count == 1 ? "" : ", then ", last.axis, *blocks[count - 1].keep,
                                last.with->extent(spec));
    std::vector<PruneStep> steps;
    for (std::size_t i = 0; i < count; ++i) steps.push_back({cuts[i].with, &blocks[i], cuts[i].axis, &scores[i]});
    Diagnostics diagnostics;
    planned.plan = make_plan(teacher, steps, diagnostics);
    diagnostics.throw_if_any();
  }
  return planned;
}

void expect_equal(testkit::Trial& trial, Workshop& workshop, const std::string& family, const std::vector<Cut>& cuts) {
  std::string text;
  for (const Cut& cut : cuts) text += fmt::format("{}'{}'", text.empty() ? "" : ", then ", cut.axis);
  trial.at(fmt::format("a tiny {}, axis {}", family, text));
  const Checkpoint& teacher = workshop.teacher(family);
  const std::optional<Planned> planned = plan_of(teacher.spec(), cuts);
  if (!planned) return;
  trial.about(fmt::format("a tiny {}, axis {}", family, planned->text));
  const std::string problem = workshop.judge(teacher, planned->plan);
  trial.expect(problem.empty(), problem);
}

}  // namespace

testkit::Report check_axis_in_host(const std::string& name, const testkit::Make<PruningAxis>& make,
                                   const std::vector<PartnerAxis>& partners, const std::string& options) {
  testkit::Checklist checks(name, options);
  Workshop workshop;
  checks.run("axis/masked-equals-sliced", [&](testkit::Trial& trial) {
    const auto axis = make();
    for (const char* family : testkit::kFamilies) {
      trial.about(fmt::format("a tiny {}", family));
      if (accepts(*axis, tiny_spec(family))) expect_equal(trial, workshop, family, {{name, axis.get()}});
    }
  });
  checks.run("axis/composes", [&](testkit::Trial& trial) {
    if (partners.empty()) trial.skip("no axes on the plugin search path");
    const auto axis = make();
    for (const char* family : testkit::kFamilies) {
      for (const PartnerAxis& partner : partners) {
        const auto other = partner.make();
        trial.about(fmt::format("a tiny {}, with axis '{}'", family, partner.name));
        if (!accepts(*axis, tiny_spec(family)) || !accepts(*other, tiny_spec(family))) continue;
        expect_equal(trial, workshop, family, {{name, axis.get()}, {partner.name, other.get()}});
        expect_equal(trial, workshop, family, {{partner.name, other.get()}, {name, axis.get()}});
      }
    }
  });
  return checks.finish();
}

}  // namespace espalier
