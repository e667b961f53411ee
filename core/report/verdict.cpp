// SPDX-License-Identifier: Apache-2.0
#include "core/report/verdict.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/strings.hpp"
#include "core/report/verdict_text.hpp"
#include "core/stats/interval.hpp"
#include "core/stats/power.hpp"

namespace espalier {
namespace {

using nlohmann::json;

constexpr std::size_t kTeachersInGeneral = 3;  // fewer say nothing about the teachers that were not tried

const std::optional<DocumentLosses>& losses_at(const RunRecord& run, Moment moment) {
  return moment == Moment::after ? run.after : run.before;
}

std::vector<const RunRecord*> with_losses(const Arm& arm, Moment moment, const std::string* teacher) {
  std::vector<const RunRecord*> runs;
  for (const RunRecord& run : arm.runs) {
    if (losses_at(run, moment) && (teacher == nullptr || run.ref.teacher == *teacher)) runs.push_back(&run);
  }
  return runs;
}

// Teachers that both arms have, in the order of the first; empty: not comparable teacher by teacher.
std::vector<std::string> common_teachers(const Arm& a, const Arm& b, Moment moment) {
  std::vector<std::string> teachers;
  for (const RunRecord* run : with_losses(a, moment, nullptr)) {
    const std::string& teacher = run->ref.teacher;
    if (!with_losses(b, moment, &teacher).empty() &&
        std::find(teachers.begin(), teachers.end(), teacher) == teachers.end())
      teachers.push_back(teacher);
  }
  return teachers;
}

std::vector<double> difference(const DocumentLosses& a, const DocumentLosses& b) {
  std::vector<double> result(a.size());
  for (std::size_t d = 0; d < result.size(); ++d) result[d] = a.nll[d] - b.nll[d];
  return result;
}

// The strata of one teacher: pairs of a common seed, or both arms by themselves.
void add_teacher(const std::vector<const RunRecord*>& a, const std::vector<const RunRecord*>& b, Moment moment,
                 double weight, Contrast& contrast) {
  Replicates paired{weight, {}}, left{weight, {}}, right{-weight, {}};
  for (const RunRecord* ours : a) {
    left.sums.push_back(losses_at(*ours, moment)->nll);
    for (const RunRecord* theirs : b) {
      if (ours->ref.seed && ours->ref.seed == theirs->ref.seed)
        paired.sums.push_back(difference(*losses_at(*ours, moment), *losses_at(*theirs, moment)));
    }
  }
  for (const RunRecord* theirs : b) right.sums.push_back(losses_at(*theirs, moment)->nll);
  const bool known = std::all_of(a.begin(), a.end(), [](const RunRecord* run) { return run->ref.seed.has_value(); }) &&
                     std::all_of(b.begin(), b.end(), [](const RunRecord* run) { return run->ref.seed.has_value(); });
  contrast.seeded = contrast.seeded && known;
  if (!paired.sums.empty()) {
    contrast.seeds_a = contrast.seeds_b = std::min(contrast.seeds_a, paired.sums.size());
    contrast.sample.strata.push_back(std::move(paired));
    return;
  }
  contrast.paired = false;
  contrast.seeds_a = std::min(contrast.seeds_a, left.sums.size());
  contrast.seeds_b = std::min(contrast.seeds_b, right.sums.size());
  contrast.sample.strata.push_back(std::move(left));
  contrast.sample.strata.push_back(std::move(right));
}

std::optional<double> bits_per_nat(const RunRecord& run) {
  const json &bits = run.eval.value("bits_per_byte", json()), &nll = run.eval.value("nll", json());
  if (!bits.is_number() || !nll.is_number() || nll.get<double>() == 0.0) return std::nullopt;
  return bits.get<double>() / nll.get<double>();
}

Contrast start(const Arm& a, const Arm& b, Moment moment, const RunRecord& run) {
  Contrast contrast;
  contrast.a = a.name, contrast.b = b.name, contrast.moment = moment;
  const DocumentLosses& losses = *losses_at(run, moment);
  contrast.sample.tokens.assign(losses.tokens.begin(), losses.tokens.end());
  contrast.bits_per_nat = bits_per_nat(run);
  contrast.seeds_a = contrast.seeds_b = static_cast<std::size_t>(-1);
  return contrast;
}

// Each teacher's difference, averaged over its seeds, is one replicate.
Contrast in_general(const Contrast& these) {
  Contrast general = these;
  general.general = true;
  Replicates teachers{1.0, {}};
  const std::size_t documents = these.sample.tokens.size();
  const auto count = static_cast<double>(these.teachers);
  const std::size_t strata_of_teacher = these.sample.strata.size() / these.teachers;
  for (std::size_t g = 0; g < these.sample.strata.size(); ++g) {
    if (g % strata_of_teacher == 0) teachers.sums.emplace_back(documents, 0.0);
    const Replicates& stratum = these.sample.strata[g];
    const double weight = stratum.weight * count / static_cast<double>(stratum.sums.size());
    for (const std::vector<double>& sums : stratum.sums) {
      for (std::size_t d = 0; d < documents; ++d) teachers.sums.back()[d] += weight * sums[d];
    }
  }
  general.sample.strata = {std::move(teachers)};
  return general;
}

const char* scope_of(const Contrast& contrast, const Components& components) {
  if (contrast.general) return components.covers_documents() ? "documents, seeds and teachers" : "seeds and teachers";
  if (components.covers_seeds()) return components.covers_documents() ? "documents and seeds" : "seeds alone";
  return components.covers_documents() ? "documents alone" : "this measurement alone";
}

json number(const std::optional<double>& value) { return value ? json(*value) : json(nullptr); }
json number(const std::optional<std::size_t>& value) { return value ? json(*value) : json(nullptr); }

}  // namespace

bool Contrast::is_one_model() const {
  const auto is_zero = [](const std::vector<double>& sums) {
    return std::all_of(sums.begin(), sums.end(), [](double sum) { return sum == 0.0; });
  };
  const auto says_nothing = [&](const Replicates& replicates) {
    return std::all_of(replicates.sums.begin(), replicates.sums.end(), is_zero);
  };
  return !sample.strata.empty() && std::all_of(sample.strata.begin(), sample.strata.end(), says_nothing);
}

std::vector<Contrast> contrasts_of(const Arm& a, const Arm& b, Moment moment) {
  const auto left = with_losses(a, moment, nullptr), right = with_losses(b, moment, nullptr);
  if (left.empty() || right.empty()) return {};
  const std::vector<std::string> teachers = common_teachers(a, b, moment);
  Contrast contrast = start(a, b, moment, *left.front());
  contrast.teachers = std::max<std::size_t>(teachers.size(), 1);
  const double weight = 1.0 / static_cast<double>(contrast.teachers);
  if (teachers.empty()) add_teacher(left, right, moment, 1.0, contrast);
  for (const std::string& teacher : teachers)
    add_teacher(with_losses(a, moment, &teacher), with_losses(b, moment, &teacher), moment, weight, contrast);
  std::vector<Contrast> contrasts = {contrast};
  // Paired with some teachers and not with others: no common unit of teachers to speak of.
  const bool alike = contrast.sample.strata.size() % contrast.teachers == 0;
  if (contrast.teachers >= kTeachersInGeneral && alike) contrasts.push_back(in_general(contrast));
  return contrasts;
}

json verdict_of(const Contrast& contrast, double level, std::size_t comparisons) {
  const Components components = components_of(contrast.sample);
  const double each = level_of_each(level, comparisons), half = half_width(components, each);
  Judgement judgement;
  judgement.difference = components.estimate;
  judgement.level = level;
  judgement.comparisons = comparisons;
  judgement.covers_seeds = components.covers_seeds();
  judgement.covers_documents = components.covers_documents();
  if (judgement.has_interval()) judgement.low = components.estimate - half, judgement.high = components.estimate + half;
  if (judgement.has_interval() && judgement.outcome() == Outcome::undecided)
    judgement.needed = needed(components, each);
  const auto bits = [&](const std::optional<double>& nats) {
    return contrast.bits_per_nat && nats ? json(*nats * *contrast.bits_per_nat) : json(nullptr);
  };
  const std::optional<std::size_t> none;
  return {{"a", contrast.a},
          {"b", contrast.b},
          {"moment", contrast.moment == Moment::after ? "after" : "before"},
          {"difference", components.estimate},
          {"low", number(judgement.low)},
          {"high", number(judgement.high)},
          {"unit", "nats per token"},
          {"difference_bits_per_byte", bits(components.estimate)},
          {"low_bits_per_byte", bits(judgement.low)},
          {"high_bits_per_byte", bits(judgement.high)},
          {"outcome", outcome_name(judgement.outcome())},
          {"comparisons", comparisons},
          {"seeds", std::min(contrast.seeds_a, contrast.seeds_b)},
          {"documents", contrast.sample.tokens.size()},
          {"teachers", contrast.teachers},
          {"scope", scope_of(contrast, components)},
          {"paired", contrast.paired},
          {"variance",
           {{"seeds", components.seeds}, {"documents", components.documents}, {"residual", components.residual}}},
          {"seeds_needed", number(contrast.general ? none : judgement.needed.seeds)},
          {"teachers_needed", number(contrast.general ? judgement.needed.seeds : none)},
          {"documents_needed", number(judgement.needed.documents)},
          {"text", verdict_text(contrast, judgement)}};
}

}  // namespace espalier
