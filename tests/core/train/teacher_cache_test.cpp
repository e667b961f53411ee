// SPDX-License-Identifier: Apache-2.0
#include "core/train/teacher_cache.hpp"

#include <fstream>
#include <optional>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/base/progress.hpp"
#include "espalier/sdk/error.hpp"
#include "tests/core/train/tiny_cache.hpp"

namespace {

using espalier::TeacherCache;
using espalier::TeacherCacheForm;
namespace fs = espalier::fs;
namespace reference = espalier::reference;
using reference::TemporaryFolder;
using reference::TinyCache;
using reference::TinyRun;

constexpr std::int64_t kSteps = 60;  // two epochs: the second groups the windows otherwise than the first

std::string outcome_with(const fs::path& folder, TinyRun& run, const TeacherCache* cache) {
  espalier::ProgressBar::disable();
  run.job.teacher_cache = cache;
  espalier::train(run.job);
  return reference::outcome(folder, kSteps);
}

// Of a student that has a teacher beside it.
std::string live_outcome(const fs::path& folder) {
  TinyRun run(folder, kSteps);
  return outcome_with(folder, run, nullptr);
}

// The names of a folder's files, in order, with their contents.
std::string contents(const fs::path& folder) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::string text;
  for (const fs::path& path : paths) text += path.filename().string() + "\n" + reference::bytes_of(path);
  return text;
}

void flip_byte(const fs::path& path, std::int64_t from_end) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-from_end, std::ios::end);
  const char byte = static_cast<char>(file.get());
  file.seekp(-from_end, std::ios::end);
  file.put(static_cast<char>(byte ^ 1));
}

}  // namespace

TEST_CASE(
    "a student beside a whole cache ends with the bytes of one beside a living teacher, epochs and masks included") {
  for (const bool odd_chunks : {false, true}) {
    CAPTURE(odd_chunks);
    const TemporaryFolder folder;
    const auto outcome = [&](const char* name, bool cached) {
      TinyRun run(folder.path() / name, kSteps);
      if (odd_chunks) run.job.plan.head_chunk = 7;
      if (!cached) return outcome_with(folder.path() / name, run, nullptr);
      const TinyCache filled(run, folder.path() / "cache", 64, kSteps * 4);
      return outcome_with(folder.path() / name, run, &*filled.cache);
    };
    CHECK(outcome("cached", true) == outcome("live", false));
  }
}

TEST_CASE("a cache that another seed has filled gives the same bytes") {
  const TemporaryFolder folder;
  TinyRun other(folder.path() / "other", kSteps);
  const fs::path tokens = folder.path() / "other" / "tokens.bin";
  const espalier::TrainingStream stream({{"tokens", std::nullopt, espalier::TokenFile(tokens, "uint8")}},
                                        TinyRun::kSequence, 99);
  other.job.data = &stream;
  const TinyCache filled(other, folder.path() / "cache", 64, 1000);
  TinyRun run(folder.path() / "run", kSteps);
  const TinyCache again(run, folder.path() / "cache", 64, kSteps * 4);
  CHECK(again.teachers_opened == 0);  // nothing was missing
  CHECK(again.cache->summary(again.touched.places).in_any_order);
  CHECK(outcome_with(folder.path() / "run", run, &*again.cache) == live_outcome(folder.path() / "live"));
}

TEST_CASE("beside a cache the teacher's layers are not needed, and of a truncated one no teacher at all") {
  class HeadOnly : public espalier::WeightSource {
   public:
    explicit HeadOnly(espalier::WeightSource& model) : model_(model) {}
    const espalier::ModelSpec& spec() const override { return model_.spec(); }
    espalier::Compute compute() const override { return model_.compute(); }
    espalier::Weights outer() override { return model_.outer(); }
    espalier::Weights layer(std::int64_t) override { throw espalier::Error("a layer was asked for"); }

   private:
    espalier::WeightSource& model_;
  };
  const TemporaryFolder folder;
  TinyRun whole(folder.path() / "whole", kSteps);
  const TinyCache cache(whole, folder.path() / "cache", 64, kSteps * 4);
  HeadOnly head(whole.teacher);
  whole.job.teacher = &head;
  CHECK(outcome_with(folder.path() / "whole", whole, &*cache.cache) == live_outcome(folder.path() / "live"));

  TinyRun truncated(folder.path() / "truncated", kSteps);
  const TinyCache largest(truncated, folder.path() / "largest", 8, kSteps * 4);
  truncated.job.teacher = nullptr;
  CHECK(outcome_with(folder.path() / "truncated", truncated, &*largest.cache).size() > 1000);
}

TEST_CASE("with all tokens but one kept a student's losses are the living teacher's up to rounding") {
  const TemporaryFolder folder;
  TinyRun live(folder.path() / "live", 3), run(folder.path() / "run", 3);
  const TinyCache cache(run, folder.path() / "cache", 63, 12);
  espalier::ProgressBar::disable();
  espalier::train(live.job);
  run.job.teacher_cache = &*cache.cache;
  espalier::train(run.job);
  const auto expected = reference::lines_of(live.job.metrics), got = reference::lines_of(run.job.metrics);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(got[i].at("kl").get<double>() == doctest::Approx(expected[i].at("kl").get<double>()).epsilon(1e-4));
  }
}

TEST_CASE("what was lost is the mean and the largest over the windows that a training sees") {
  const TemporaryFolder folder;
  TinyRun run(folder.path(), 3);
  const TinyCache cache(run, folder.path() / "cache", 8, 12);
  const espalier::TeacherCacheSummary summary = cache.cache->summary(cache.touched.places);
  CHECK(summary.windows == 12);
  CHECK(summary.tokens == 12 * TinyRun::kSequence);
  // Once more from the model, over all rows at once.
  const at::Tensor tokens = run.data->batch(0, 12).tokens;
  const at::Tensor z =
      espalier::logits(run.teacher.outer(), espalier::hidden_states(run.teacher, tokens)).flatten(0, 1).to(at::kDouble);
  const at::Tensor p = at::softmax(z, 1);
  const auto sorted = std::get<0>(p.sort(1, /*descending=*/true));
  const at::Tensor tail = sorted.narrow(1, 8, 56), mass = tail.sum(1);
  const at::Tensor kl = (tail * (tail / (mass / 56.0).unsqueeze(1)).log()).sum(1);
  CHECK(summary.tail_mass == doctest::Approx(mass.mean().item<double>()).epsilon(1e-5));
  CHECK(summary.most_tail_mass == doctest::Approx(mass.max().item<double>()).epsilon(1e-5));
  CHECK(summary.kl == doctest::Approx(kl.mean().item<double>()).epsilon(1e-4));
  CHECK(summary.most_kl == doctest::Approx(kl.max().item<double>()).epsilon(1e-4));
}

TEST_CASE("a whole cache in float32 loses nothing; in a narrower dtype what it loses is measured") {
  const TemporaryFolder folder;
  TinyRun run(folder.path(), 3);
  for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
    const TinyCache cache(run, folder.path() / c10::toString(dtype), 64, 12, dtype);
    const espalier::TeacherCacheSummary summary = cache.cache->summary(cache.touched.places);
    CHECK(summary.tail_mass == 0.0);
    CHECK((summary.kl == 0.0) == (dtype == at::kFloat));
    CHECK(summary.kl < 1e-4);
    CHECK(cache.cache->form().lossless() == (dtype == at::kFloat));
  }
}

TEST_CASE("another seed adds the windows that are not there yet, and the files are as large as predicted") {
  const TemporaryFolder folder;
  TinyRun run(folder.path(), 3);
  const fs::path path = folder.path() / "cache";
  const auto size = [&] {
    std::uint64_t bytes = 0;
    for (const auto& entry : fs::directory_iterator(path)) bytes += fs::file_size(entry.path());
    return bytes;
  };
  for (const std::int64_t kept : {std::int64_t{64}, std::int64_t{5}}) {
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      fs::remove_all(path);
      const TinyCache first(run, path, kept, 10, dtype);
      CHECK(first.cache->windows() == 10);
      CHECK(size() == first.cache->form().bytes(10));
      const TinyCache more(run, path, kept, 25, dtype);
      CHECK(more.cache->windows() == 25);
      CHECK(size() == first.cache->form().bytes(10) + first.cache->form().bytes(15));
      CHECK(more.teachers_opened == 1);
      const TinyCache nothing(run, path, kept, 25, dtype);
      CHECK(nothing.teachers_opened == 0);
    }
  }
  fs::remove_all(path);
  const TinyCache shards(run, path, 64, 25, at::kFloat, 10'000);  // several files
  CHECK(std::distance(fs::directory_iterator(path), fs::directory_iterator()) > 3);
  CHECK(size() == shards.cache->form().bytes(25));
}

TEST_CASE("a window that the training sees twice is kept once") {
  TemporaryFolder folder;
  TinyRun run(folder.path(), 3);
  const espalier::Touched touched = espalier::windows_of(*run.data, 1'000'000'000'000);
  CHECK(static_cast<std::int64_t>(touched.places.size()) == run.data->windows());
  CHECK(espalier::windows_of(*run.data, 5).sequences == std::vector<std::int64_t>{0, 1, 2, 3, 4});
}

TEST_CASE("a damaged shard is removed and computed anew, to the same bytes; read alone it is named") {
  const TemporaryFolder folder;
  TinyRun run(folder.path(), 3);
  const fs::path path = folder.path() / "cache";
  const TinyCache whole(run, path, 64, 25, at::kFloat, 10'000);
  const std::string expected = contents(path);
  const fs::path second = TeacherCache::shard_path(path, 1);
  const auto describe = [&] {
    try {
      espalier::describe_teacher_cache(path);
    } catch (const espalier::Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(describe().empty());

  flip_byte(second, 100);  // in the hidden states
  CHECK(describe() == second.string() +
                          ": damaged, a window's checksum is another; expected what was written: remove the file, and "
                          "the next run computes its windows again");
  CHECK(TinyCache(run, path, 64, 25, at::kFloat, 10'000).teachers_opened == 1);
  CHECK(contents(path) == expected);

  fs::resize_file(second, fs::file_size(second) - 50);
  CHECK(describe().starts_with(second.string() + ": "));
  CHECK_THROWS_AS(TeacherCache(path, whole.cache->form()), espalier::Error);
  CHECK(TinyCache(run, path, 64, 25, at::kFloat, 10'000).teachers_opened == 1);
  CHECK(contents(path) == expected);

  std::ofstream(second) << "not a shard";
  CHECK(TinyCache(run, path, 64, 25, at::kFloat, 10'000).teachers_opened == 1);
  CHECK(contents(path) == expected);
}

TEST_CASE("a shard of another form is not taken for one of this cache") {
  const TemporaryFolder folder;
  TinyRun run(folder.path(), 3);
  const fs::path path = folder.path() / "cache";
  const TinyCache cache(run, path, 5, 10);
  TeacherCacheForm other = cache.cache->form();
  other.teacher = "another";
  CHECK_THROWS_WITH_AS(TeacherCache(path, other),
                       (TeacherCache::shard_path(path, 0).string() +
                        ": not a shard of this teacher cache; got teacher_digest = 'teacher'; expected 'another'")
                           .c_str(),
                       espalier::Error);
  CHECK(other.key() != cache.cache->form().key());
}

TEST_CASE("a disk without room is told before anything is computed") {
  CHECK_NOTHROW(espalier::check_room("runs/.cache", 5, 5));
  CHECK_THROWS_WITH_AS(
      espalier::check_room("runs/.cache", 43'000'000'000'000, 1'500'000'000'000),
      "runs/.cache: the disk has no room for what the teacher says; got 1.50 TB free; expected 43.0 TB (a "
      "smaller k or a narrower dtype in [teacher_cache], or fewer tokens, take less)",
      espalier::Error);
}

TEST_CASE("a cache with a source or a window that cannot be is refused") {
  const TemporaryFolder folder;
  TinyRun run(folder.path(), 3);
  const fs::path path = folder.path() / "cache";
  const TinyCache cache(run, path, 64, 10);
  CHECK_FALSE(cache.cache->has({1, 0}));
  CHECK_FALSE(cache.cache->has({0, 1'000'000}));
  CHECK(cache.cache->has(cache.touched.places.back()));
}
