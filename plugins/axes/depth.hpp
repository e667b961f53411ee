// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "espalier/sdk/axis.hpp"
#include "ranking.hpp"

namespace espalier::plugins {

// An axis of layers: its units are the layers that have a part, in order.
class DepthAxis : public PruningAxis {
 public:
  // Throws RecipeError for a model of which no layer has the part.
  std::int64_t extent(const ModelSpec& spec) const final;
  // `scores`: of each unit, or where one run of units goes also of each run of the length that goes, by its first unit.
  Selection select(const ModelSpec& spec, const Scores& scores, std::int64_t keep) const final;
  ModelSpec shrink(const ModelSpec& spec, const Selection& selection) const final;

 protected:
  virtual const char* name() const = 0;
  virtual Part part() const = 0;
  virtual bool one_run() const { return false; }
};

// Opt-in of the axes that leave layers without one of their blocks.
struct BlocksOptions : AxisOptions {
  bool unequal;
  template <class V>
  void fields(V& v) {
    AxisOptions::fields(v);
    v("unequal", unequal, false, any(),
      "must be true: layers then differ, which espalier itself loads, and transformers, vLLM and llama.cpp do not");
  }
  void validate(OptionSource& source) const {
    if (unequal) return;
    source.problem("unequal", "unequal is not set", "false",
                   "unequal = true: layers that lack a block are loaded by espalier itself, not by transformers, vLLM "
                   "or llama.cpp");
  }
};

// The attention or the MLP of whole layers; the layer itself stays.
class BlocksAxis : public DepthAxis {
 public:
  using Options = BlocksOptions;
  explicit BlocksAxis(const Options& options) : options_(options) {}
  AxisInfo describe() const final;
  std::int64_t step(const ModelSpec&) const final { return options_.granularity; }

 private:
  Options options_;
};

class AttentionBlocksAxis final : public BlocksAxis {
 public:
  using BlocksAxis::BlocksAxis;

 protected:
  const char* name() const override { return "attention_blocks"; }
  Part part() const override { return Part::attention; }
};

class MlpBlocksAxis final : public BlocksAxis {
 public:
  using BlocksAxis::BlocksAxis;

 protected:
  const char* name() const override { return "mlp_blocks"; }
  Part part() const override { return Part::mlp; }
};

}  // namespace espalier::plugins
