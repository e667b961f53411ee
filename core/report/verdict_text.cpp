// SPDX-License-Identifier: Apache-2.0
#include "core/report/verdict_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/strings.hpp"

namespace espalier {
namespace {

std::string counted(std::size_t count, const std::string& word) {
  return with_commas(static_cast<std::int64_t>(count)) + " " + word + (count == 1 ? "" : "s");
}

// Enough digits for two of them in the width of the interval, and that an end which is not zero does not look like it.
int digits_of(const Judgement& judgement) {
  if (!judgement.low) return 3;
  const double half = (*judgement.high - *judgement.low) / 2;
  int digits = half > 0 ? std::clamp(static_cast<int>(std::ceil(-std::log10(half))), 3, 8) : 3;
  const double nearest = std::min(std::abs(*judgement.low), std::abs(*judgement.high));
  while (judgement.outcome() != Outcome::undecided && digits < 8 && nearest < 0.5 * std::pow(10.0, -digits)) ++digits;
  return digits;
}

std::string with_minus(double value, int digits) {
  std::string text = fmt::format("{:.{}f}", value, digits);
  const bool zero = text.find_first_not_of("-0.") == std::string::npos;
  if (text.starts_with('-')) text = (zero ? "" : "−") + text.substr(1);
  return text;
}

std::string sizes_of(const Contrast& contrast) {
  std::string text;
  if (contrast.teachers > 1) text += counted(contrast.teachers, "teacher") + " × ";
  if (!contrast.seeded) {
    text += "one model each × ";
  } else if (contrast.seeds_a == contrast.seeds_b) {
    text += counted(contrast.seeds_a, "seed") + " × ";
  } else {
    text += fmt::format("{} and {} × ", contrast.seeds_a, counted(contrast.seeds_b, "seed"));
  }
  text += counted(contrast.sample.tokens.size(), "document");
  if (contrast.seeded && !contrast.paired) text += ", the seeds not paired";
  return text;
}

std::string bracket(const Contrast& contrast, const Judgement& judgement, double low, double high, int digits) {
  std::string text = fmt::format("{:.4g} % interval {} to {}", 100.0 * judgement.level, with_minus(low, digits),
                                 with_minus(high, digits));
  if (judgement.comparisons > 1) text += fmt::format(" corrected for {} comparisons", judgement.comparisons);
  text += ", " + sizes_of(contrast);
  if (!judgement.covers_seeds) text += "; seeds are not covered";
  if (!judgement.covers_documents) text += "; documents are not covered";
  return " (" + text + ")";
}

std::string teachers_of(const Contrast& contrast) {
  if (contrast.general) return " for teachers in general";
  return contrast.teachers > 1 ? fmt::format(" for these {} teachers", contrast.teachers) : "";
}

std::string needed_text(const Contrast& contrast, const Judgement& judgement) {
  const char* replicates = contrast.general ? "teacher" : "seed";
  if (judgement.needed.seeds) return "; about " + counted(*judgement.needed.seeds, replicates) + " would be needed";
  const std::string never = judgement.covers_seeds ? fmt::format("no number of {}s would do, ", replicates) : "";
  if (judgement.needed.documents)
    return "; " + never + "about " + counted(*judgement.needed.documents, "document") + " would be needed";
  if (judgement.difference == 0.0) return "";
  if (!judgement.covers_documents) return "; more documents would be needed";
  return judgement.covers_seeds ? fmt::format("; neither more {}s nor more documents alone would do", replicates)
                                : "; no number of documents would do";
}

}  // namespace

const char* outcome_name(Outcome outcome) {
  constexpr const char* names[] = {"better", "worse", "undecided"};
  return names[static_cast<int>(outcome)];
}

Outcome Judgement::outcome() const {
  if (low && *high < 0.0) return Outcome::better;
  if (low && *low > 0.0) return Outcome::worse;
  return Outcome::undecided;
}

std::string verdict_text(const Contrast& contrast, const Judgement& judgement) {
  const int digits = digits_of(judgement);
  const Outcome outcome = judgement.outcome();
  const std::string when = contrast.moment == Moment::before ? "before distillation, " : "";
  const std::string whom = teachers_of(contrast);
  if (contrast.is_one_model()) {
    return fmt::format("{}{} and {} are one model{} ({})", when, contrast.a, contrast.b, whom, sizes_of(contrast));
  }
  if (!judgement.low) {
    return fmt::format("{}{} and {} differ by {} nats per token{} ({}: too few for an interval)", when, contrast.a,
                       contrast.b, with_minus(judgement.difference, 4), whom, sizes_of(contrast));
  }
  if (outcome == Outcome::undecided) {
    return fmt::format("{}{} and {} cannot be told apart{}: {} nats per token{}{}", when, contrast.a, contrast.b, whom,
                       with_minus(judgement.difference, digits),
                       bracket(contrast, judgement, *judgement.low, *judgement.high, digits),
                       needed_text(contrast, judgement));
  }
  // The better one is named first, whichever was a.
  const bool ours = outcome == Outcome::better;
  const double low = ours ? -*judgement.high : *judgement.low, high = ours ? -*judgement.low : *judgement.high;
  return fmt::format("{}{} is better than {} by {} nats per token{}{}", when, ours ? contrast.a : contrast.b,
                     ours ? contrast.b : contrast.a, with_minus(std::abs(judgement.difference), digits), whom,
                     bracket(contrast, judgement, low, high, digits));
}

}  // namespace espalier
