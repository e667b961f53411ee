// SPDX-License-Identifier: Apache-2.0
// Against loops over what every rank would have: each rank can make the tensors of all.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <unistd.h>

#include "tests/support/ranks.hpp"

namespace {

// Of very different sizes, so that another order of adding is another sum.
at::Tensor numbers(std::int64_t rank, std::int64_t count) {
  auto generator = at::detail::createCPUGenerator(100 + static_cast<std::uint64_t>(rank));
  const at::Tensor exponent = at::randint(-12, 12, {count}, generator, at::TensorOptions(at::kFloat));
  return at::randn({count}, generator, at::kFloat) * at::pow(at::scalar_tensor(2.0F), exponent);
}

at::Tensor sum_in_rank_order(std::int64_t size, std::int64_t count) {
  at::Tensor sum = numbers(0, count);
  for (std::int64_t rank = 1; rank < size; ++rank) sum = sum + numbers(rank, count);
  return sum;
}

}  // namespace

TEST_CASE("reduce_scatter adds in rank order, to the last bit, past the size of one message") {
  espalier::Comm& comm = ranks();
  for (const std::int64_t part : {std::int64_t{1}, std::int64_t{37}, (std::int64_t{1} << 20) + 5}) {
    CAPTURE(part);
    const std::int64_t count = part * comm.size();
    at::Tensor all = numbers(comm.rank(), count), own = at::empty({part});
    comm.reduce_scatter(all, own);
    CHECK(at::equal(own, sum_in_rank_order(comm.size(), count).narrow(0, comm.rank() * part, part)));
    at::Tensor place = all.narrow(0, comm.rank() * part, part);
    comm.reduce_scatter(all, place);  // into its own place
    CHECK(at::equal(place, own));
  }
}

TEST_CASE("reduce_scatter of bfloat16 rounds once, at the end") {
  espalier::Comm& comm = ranks();
  const std::int64_t part = (std::int64_t{1} << 20) + 5, count = part * comm.size();
  const auto narrow = [&](std::int64_t rank) { return numbers(rank, count).to(at::kBFloat16); };
  at::Tensor sum = narrow(0).to(at::kFloat);
  for (std::int64_t rank = 1; rank < comm.size(); ++rank) sum += narrow(rank).to(at::kFloat);
  at::Tensor own = at::empty({part}, at::kBFloat16);
  comm.reduce_scatter(narrow(comm.rank()), own);
  CHECK(at::equal(own, sum.narrow(0, comm.rank() * part, part).to(at::kBFloat16)));
}

TEST_CASE("the order of adding shows, so that the test above can fail") {
  if (ranks().size() < 3) return;  // of two numbers there is one sum
  const at::Tensor other = numbers(2, 1000) + numbers(1, 1000) + numbers(0, 1000);
  CHECK_FALSE(at::equal(other, sum_in_rank_order(3, 1000)));
}

TEST_CASE("all_gather brings every part to every rank, in any dtype and in place") {
  espalier::Comm& comm = ranks();
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kLong, at::kByte}) {
    const auto part = [&](std::int64_t rank) { return (at::arange(11) + 20 * rank).to(dtype); };
    at::Tensor all = at::zeros({11 * comm.size()}, at::TensorOptions(dtype));
    comm.all_gather(part(comm.rank()), all);
    for (std::int64_t rank = 0; rank < comm.size(); ++rank) CHECK(at::equal(all.narrow(0, 11 * rank, 11), part(rank)));
    at::Tensor again = at::zeros_like(all);
    const at::Tensor mine = again.narrow(0, 11 * comm.rank(), 11);
    mine.copy_(part(comm.rank()));
    comm.all_gather(mine, again);
    CHECK(at::equal(again, all));
  }
}

TEST_CASE("all_reduce adds doubles in rank order") {
  espalier::Comm& comm = ranks();
  const auto values = [](std::int64_t rank) { return numbers(rank, 5).to(at::kDouble) / 3.0; };
  at::Tensor got = values(comm.rank()), expected = values(0);
  comm.all_reduce(got);
  for (std::int64_t rank = 1; rank < comm.size(); ++rank) expected = expected + values(rank);
  CHECK(at::equal(got, expected));
}

TEST_CASE("tensors and texts of any rank go to all") {
  espalier::Comm& comm = ranks();
  for (std::int64_t root = 0; root < comm.size(); ++root) {
    at::Tensor tensor = comm.rank() == root ? numbers(root, 1001) : at::zeros({1001});
    comm.broadcast(tensor, root);
    CHECK(at::equal(tensor, numbers(root, 1001)));
    const std::string mine(static_cast<std::size_t>(3 * comm.rank()), static_cast<char>(comm.rank()));  // with zeros
    const std::string text(static_cast<std::size_t>(3 * root), static_cast<char>(root));
    CHECK(comm.broadcast_text(mine, root) == text);
  }
  std::vector<std::string> expected;
  for (std::int64_t rank = 0; rank < comm.size(); ++rank) expected.push_back("rank " + std::to_string(rank));
  CHECK(gather_texts(comm, expected[static_cast<std::size_t>(comm.rank())]) == expected);
}

TEST_CASE("nobody passes a barrier before the last has come") {
  espalier::Comm& comm = ranks();
  at::Tensor before = at::zeros({1}, at::kDouble);
  if (comm.rank() == comm.size() - 1) ::usleep(100'000);
  comm.barrier();
  comm.all_reduce(before);
  CHECK(before.item<double>() == 0.0);
}
