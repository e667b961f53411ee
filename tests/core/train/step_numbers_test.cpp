// SPDX-License-Identifier: Apache-2.0
#include "core/train/step_numbers.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/train/micro_batch.hpp"
#include "core/train/side_stream.hpp"
#include "tests/core/train/tiny_run.hpp"

using espalier::StepNumbers;
using espalier::StepValues;

namespace {

at::Tensor numbers(std::vector<double> values) { return at::tensor(values, at::kDouble); }

}  // namespace

TEST_CASE("a step's numbers add up over micro-batches: losses, weighted total, mean alpha, norm") {
  StepNumbers step({0.5, 2.0}, {10.0}, at::kCPU);
  for (int again = 0; again < 2; ++again) {  // start() forgets the step before
    step.start();
    step.add(numbers({1.0, 2.0, 3.0}), 0.25, 0.5);
    step.add(numbers({3.0, 5.0, 7.0}), 0.75, 0.5);
    step.add_up(at::full({}, 9.0, at::kDouble), false, espalier::alone());
    const StepValues values = step.read();
    CHECK(values.losses == std::vector<double>{4.0, 7.0, 10.0});
    CHECK(values.total == doctest::Approx(0.5 + 4 + 0.25 * 30 + 1.5 + 10 + 0.75 * 70));
    CHECK(values.alpha == 0.5);
    CHECK(values.gradient_norm == 3.0);
    CHECK_FALSE(values.interrupted);
  }
  step.add_up(at::zeros({}, at::kDouble), true, espalier::alone());
  CHECK(step.read().interrupted);
}

TEST_CASE("the balance makes both sums alike, and is 0 where one is not above 0") {
  const StepNumbers step({0.5, 2.0}, {10.0}, at::kCPU);
  CHECK(step.balance(numbers({2.0, 3.0, 0.1})) == doctest::Approx(7.0));
  CHECK(step.balance(numbers({2.0, 3.0, 0.0})) == 0.0);
  CHECK(step.balance(numbers({-2.0, 0.0, 1.0})) == 0.0);
}

TEST_CASE("micro-batches are the stream's sequences in order, with the rows that count") {
  const espalier::reference::TemporaryFolder folder;
  const espalier::reference::TinyRun run(folder.path());
  const auto batch = run.data->batch(8, 4);
  const auto parts = espalier::micro_batches(*run.data, 8, 4, 2, at::kCPU);
  REQUIRE(parts.size() == 2);
  CHECK(parts[1].first == 10);
  CHECK(at::equal(parts[1].tokens, batch.tokens.narrow(0, 2, 2)));
  CHECK(at::equal(parts[0].labels, batch.labels.narrow(0, 0, 2)));
  CHECK_FALSE(parts[0].kept.defined());
  CHECK(run.data->learnt(8, 4) == 4 * 16);
  const at::Tensor labels = at::tensor({std::int64_t{5}, espalier::kIgnoredLabel, std::int64_t{7}});
  CHECK(at::equal(espalier::kept_rows(labels), at::tensor({std::int64_t{0}, std::int64_t{2}})));
}

TEST_CASE("on a CPU the side stream does its work at once, in the order of the calls") {
  espalier::SideStream beside(at::kCPU);
  std::string order;
  beside.fork([&] { order += "a"; });
  order += "b";
  beside.run([&] { order += "c"; });
  beside.join();
  CHECK(order == "abc");
}
