// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "espalier/sdk/options.hpp"
#include "unit_means.hpp"

namespace espalier::plugins {

struct TaskDropOptions {
  std::string file;
  std::int64_t shots = 0;
  bool length_normalised = false;
  template <class V>
  void fields(V& v) {
    v("file", file, "", any(), "choice tasks, .jsonl or .jsonl.gz");
    v("shots", shots, 0, at_least(0), "solved examples of the same file in front of each item");
    v("length_normalised", length_normalised, false, any(),
      "choose by log-probability per byte of the completion, not by its sum");
  }
};

// What a choice task loses without a unit: accuracy of the whole model minus accuracy with the unit (or run of units)
// skipped. An axis that removes one run has whole runs tried, which is how Minitron's second paper finds its layers
// (arXiv 2408.11796: Winogrande, 5 shots). Scores are multiples of 1 / items and often equal; the axis says which of
// equal units goes. May be negative.
class TaskDrop final : public UnitMeans {
 public:
  using Options = TaskDropOptions;
  explicit TaskDrop(const Options& options) : options_(options) {}
  Needs needs(const AxisInfo& axis) const override;
  void observe(const Observation& observation) override;

 protected:
  const char* name() const override { return "task_drop"; }
  const char* missing() const override { return "got a unit that was never skipped; expected one accuracy of each"; }

 private:
  Options options_;
};

}  // namespace espalier::plugins
