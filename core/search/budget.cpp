// SPDX-License-Identifier: Apache-2.0
#include "core/search/budget.hpp"

#include <c10/core/ScalarType.h>

#include <cmath>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/checkpoint/safetensors.hpp"

namespace espalier {
namespace {

constexpr double kTolerance = 0.05;  // arXiv 2407.14679, section 2.3: the target within 5 %

struct Number {
  const char* by;
  std::int64_t (*of)(const Counts& counts, const Bound& bound);
};
constexpr Number kNumbers[] = {
    {"parameters", [](const Counts& c, const Bound&) { return c.parameters; }},
    {"non_embedding_parameters", [](const Counts& c, const Bound&) { return c.non_embedding_parameters; }},
    {"memory",
     [](const Counts& c, const Bound& bound) { return memory_bytes(c, bound.batch * bound.basis.seq_length); }},
    {"kv_bytes_per_token", [](const Counts& c, const Bound&) { return c.kv_bytes_per_token; }},
    {"flops_per_token", [](const Counts& c, const Bound&) { return c.flops_per_token; }},
};

// Bounds are whole numbers in effect; a rounded product must not shut out its own end.
double outward(double bound, double direction) { return bound * (1.0 + direction * 1e-12); }

}  // namespace

std::int64_t memory_bytes(const Counts& counts, std::int64_t tokens) {
  return counts.bytes + tokens * counts.kv_bytes_per_token;
}

Bound bound_of(const SearchBudget& budget, const CountBasis& basis) {
  Bound bound;
  bound.by = budget.by;
  bound.batch = budget.batch.value_or(1);
  bound.basis = basis;
  if (budget.dtype) {
    const at::ScalarType dtype = dtype_from_config(*budget.dtype, to_string(budget.where));
    bound.basis.bytes_per_element = static_cast<std::int64_t>(c10::elementSize(dtype));
  }
  bound.basis.seq_length = budget.sequence.value_or(basis.seq_length);
  if (budget.target) {
    const double tolerance = budget.tolerance.value_or(kTolerance);
    bound.low = outward(*budget.target * (1.0 - tolerance), -1.0);
    bound.high = outward(*budget.target * (1.0 + tolerance), 1.0);
  }
  if (budget.at_least) bound.low = *budget.at_least;
  if (budget.at_most) bound.high = *budget.at_most;
  return bound;
}

std::vector<Bound> bounds_of(const SearchBlock& search, const CountBasis& basis) {
  std::vector<Bound> bounds;
  for (const SearchBudget& budget : search.budget) bounds.push_back(bound_of(budget, basis));
  return bounds;
}

std::int64_t measure(const Bound& bound, const ModelSpec& spec) {
  const Counts counts = count(spec, bound.basis.bytes_per_element, bound.basis.seq_length);
  for (const Number& number : kNumbers) {
    if (bound.by == number.by) return number.of(counts, bound);
  }
  ESPALIER_CHECK(false, "budget by ", bound.by);
}

double excess(const Bound& bound, std::int64_t value) {
  const auto number = static_cast<double>(value);
  if (number < bound.low) return (bound.low - number) / bound.low;
  if (number > bound.high) return (number - bound.high) / bound.high;
  return 0.0;
}

std::string describe(const Bound& bound) {
  const auto number = [](double value) { return with_commas(std::llround(value)); };
  if (std::isinf(bound.high)) return fmt::format("{} of at least {}", bound.by, number(bound.low));
  if (bound.low == 0.0) return fmt::format("{} of at most {}", bound.by, number(bound.high));
  return fmt::format("{} from {} to {}", bound.by, number(bound.low), number(bound.high));
}

}  // namespace espalier
