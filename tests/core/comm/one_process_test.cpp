// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <cstdlib>

#include "core/base/error.hpp"
#include "core/comm/comm.hpp"

using espalier::Comm;

TEST_CASE("one process: every sum is what went in") {
  const std::unique_ptr<Comm> comm = espalier::open_comm({}, at::kCPU);
  CHECK(comm->alone());
  CHECK(comm->leads());
  const at::Tensor all = at::arange(7, at::kFloat);
  at::Tensor own = at::zeros({7}), again = at::zeros({7}), sums = at::arange(3, at::kDouble);
  comm->reduce_scatter(all, own);
  CHECK(at::equal(own, all));
  comm->all_gather(own, again);
  CHECK(at::equal(again, all));
  comm->all_reduce(sums);
  CHECK(at::equal(sums, at::arange(3, at::kDouble)));
  comm->reduce_scatter(own, own);
  CHECK(at::equal(own, all));
  CHECK(comm->broadcast_text("word", 0) == "word");
  CHECK(gather_texts(*comm, "mine") == std::vector<std::string>{"mine"});
  comm->barrier();
}

TEST_CASE("a module that is missing is named, with where it was looked for and what brings it") {
  ::setenv("ESPALIER_MODULES", "/nowhere/at/all", 1);
  espalier::Launch launch;
  launch.launcher = "mpirun";
  launch.size = 2;
  std::string text;
  // Of a GPU: its module cannot be beside this test's program, whatever was built.
  try {
    espalier::open_comm(launch, at::Device(at::kCUDA, 0));
  } catch (const espalier::Error& error) {
    text = error.what();
  }
  ::unsetenv("ESPALIER_MODULES");
  CHECK(
      text.starts_with("several ranks need the module espalier_nccl, which is not there; expected it (a build with the "
                       "CUDA 13.0 toolkit and NCCL, both installed) in one of\n         /nowhere/at/all\n"));
}
