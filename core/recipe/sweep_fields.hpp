// SPDX-License-Identifier: Apache-2.0
// The keys of match in [sweep], for reader and writer as in fields.hpp.
#pragma once

#include "core/recipe/fields.hpp"
#include "core/recipe/sweep_block.hpp"

namespace espalier {

template <class V>
void visit_fields(V& v, SweepMatch& match) {
  v.required("by", match.budget.by, one_of(budget_numbers()));
  v.amount("target", match.budget.target);
  v("to", match.to, "", any());
  v.optional("tolerance", match.budget.tolerance, between(0, 1));
  v.optional("batch", match.budget.batch, at_least(1));
  v.optional("sequence", match.budget.sequence, at_least(1));
  v.optional("dtype", match.budget.dtype, one_of({"float32", "bfloat16", "float16"}));
}

}  // namespace espalier
