// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <system_error>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/checkpoint/checkpoint.hpp"
#include "core/checkpoint/layout.hpp"
#include "core/checkpoint/text.hpp"

namespace espalier {

// A file of the checkpoint that is being written.
struct Shard {
  std::string name;
  std::size_t begin = 0, end = 0;  // parameters
};

namespace {

constexpr std::int64_t kPieceElements = 4 << 20;  // converted at a time

std::uint64_t bytes_of(const Parameter& parameter, at::ScalarType dtype) {
  return static_cast<std::uint64_t>(parameter.elements()) * c10::elementSize(dtype);
}

// In the table's order, each as full as it may be.
std::vector<Shard> plan_shards(const std::vector<Parameter>& parameters, at::ScalarType dtype, std::uint64_t most) {
  std::vector<Shard> shards(1);
  std::uint64_t used = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const std::uint64_t bytes = bytes_of(parameters[i], dtype);
    if (used > 0 && used + bytes > most) {
      shards.push_back({.name = {}, .begin = i, .end = i});
      used = 0;
    }
    used += bytes;
    shards.back().end = i + 1;
  }
  if (shards.size() == 1) shards.front().name = kSingleFile;
  for (std::size_t i = 0; i < shards.size() && shards.size() > 1; ++i) {
    shards[i].name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
  }
  return shards;
}

// A disk that is too small is found before hours of work, where the system knows.
void check_space(const fs::path& folder, const fs::path& shown, std::uint64_t bytes) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error || space.capacity == 0 || space.available >= bytes) return;
  fail("{}: not enough space on the disk; got {} free; expected {}", shown.string(),
       human_bytes(static_cast<double>(space.available)), human_bytes(static_cast<double>(bytes)));
}

}  // namespace

struct CheckpointWriter::State {
  State(const fs::path& final_folder, const ModelSpec& spec, at::ScalarType type, std::uint64_t shard_bytes)
      : shown(final_folder),
        dtype(type),
        table(espalier::parameters(spec)),
        shards(plan_shards(table, type, shard_bytes)),
        folder(final_folder) {
    for (const Parameter& parameter : table) total += bytes_of(parameter, dtype);
    check_space(folder.path(), shown, total);
  }

  void open_shard() {
    const Shard& plan = shards[shard];
    std::vector<TensorInfo> infos;
    for (std::size_t i = plan.begin; i < plan.end; ++i) {
      infos.push_back({.name = table[i].name, .dtype = dtype, .shape = table[i].shape, .begin = 0, .end = 0});
    }
    writer.emplace(folder.path() / plan.name, std::move(infos), std::map<std::string, std::string>{{"format", "pt"}});
  }

  void convert_and_write(const at::Tensor& part) {
    at::Tensor converted = part.to(at::kCPU, dtype).contiguous();
    if (dtype == at::kHalf && part.scalar_type() != at::kHalf && !at::isfinite(converted).all().item<bool>()) {
      check_fits_half(part);
    }
    writer->write(converted.const_data_ptr(), converted.nbytes());
  }

  void check_fits_half(const at::Tensor& part) const {
    const at::Tensor magnitude = part.to(at::kCPU, at::kDouble).abs();
    const at::Tensor finite = magnitude.masked_select(at::isfinite(magnitude));
    const double largest = finite.numel() == 0 ? 0.0 : finite.max().item<double>();
    if (largest < 65520.0) return;  // rounds to at most 65504: what is not finite was so before
    fail("{}: tensor {}: a weight does not fit float16; got magnitude {}; expected at most 65504 (use bfloat16)",
         shown.string(), in_quotes(table[current].name), largest);
  }

  // The tensor at hand is complete.
  void advance() {
    ++current;
    done = 0;
    if (current < shards[shard].end) return;
    writer->commit();
    writer.reset();
    ++shard;
  }

  void write_index() {
    nlohmann::json map = nlohmann::json::object();
    for (const Shard& plan : shards) {
      for (std::size_t i = plan.begin; i < plan.end; ++i) map[table[i].name] = plan.name;
    }
    write_json(folder.path() / kIndexFile, {{"metadata", {{"total_size", total}}}, {"weight_map", std::move(map)}});
  }

  fs::path shown;  // the final folder, for messages
  at::ScalarType dtype;
  std::vector<Parameter> table;
  std::vector<Shard> shards;
  std::uint64_t total = 0;  // bytes of all tensors
  PendingFolder folder;
  std::optional<SafetensorsWriter> writer;  // of shards[shard]
  std::size_t shard = 0;
  std::size_t current = 0;  // parameter at hand
  std::int64_t done = 0;    // its elements so far
};

CheckpointWriter::CheckpointWriter(const fs::path& folder, const ModelSpec& spec, const nlohmann::json& config,
                                   at::ScalarType dtype, std::int64_t shard_bytes) {
  dtype_to_config(dtype);  // refuses what is not a dtype of weights
  ESPALIER_CHECK(shard_bytes > 0, "shards of ", shard_bytes, " bytes");
  state_ = std::make_unique<State>(folder, spec, dtype, static_cast<std::uint64_t>(shard_bytes));
  write_json(state_->folder.path() / kConfigFile, config);
}

CheckpointWriter::CheckpointWriter(CheckpointWriter&&) noexcept = default;
CheckpointWriter::~CheckpointWriter() = default;

const std::vector<Parameter>& CheckpointWriter::parameters() const { return state_->table; }

void CheckpointWriter::write(const at::Tensor& piece) {
  State& state = *state_;
  ESPALIER_CHECK(state.current < state.table.size(), "every parameter is written already");
  const Parameter& parameter = state.table[state.current];
  const std::int64_t left = parameter.elements() - state.done;
  ESPALIER_CHECK(piece.is_floating_point(), parameter.name, " from ", c10::toString(piece.scalar_type()));
  ESPALIER_CHECK(piece.numel() <= left, parameter.name, " takes ", left, " more elements, not ", piece.numel());
  if (!state.writer) state.open_shard();
  const at::Tensor flat = piece.detach().reshape({-1});
  for (std::int64_t from = 0; from < flat.numel(); from += kPieceElements) {
    state.convert_and_write(flat.narrow(0, from, std::min(kPieceElements, flat.numel() - from)));
  }
  state.done += piece.numel();
  if (piece.numel() == left) state.advance();
}

void CheckpointWriter::add_side_file(const fs::path& file) {
  const std::string name = file.filename().string();
  ESPALIER_CHECK(name != kConfigFile && !holds_weights(name), name, " is not a side file");
  espalier::copy_file(file, state_->folder.path() / name);
}

void CheckpointWriter::add_json(const std::string& name, const nlohmann::json& json) {
  ESPALIER_CHECK(name != kConfigFile && !holds_weights(name), name, " is not a side file");
  write_json(state_->folder.path() / name, json);
}

void CheckpointWriter::commit() {
  State& state = *state_;
  ESPALIER_CHECK(state.current == state.table.size(), "only ", state.current, " of ", state.table.size(),
                 " parameters are written");
  if (state.shards.size() > 1) state.write_index();
  state.folder.commit();
}

}  // namespace espalier
