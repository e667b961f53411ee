// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <dlfcn.h>
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

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
  ::setenv("ESPALIER_MODULE_PATH", "/nowhere/at/all", 1);
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
  ::unsetenv("ESPALIER_MODULE_PATH");
  CHECK(
      text.starts_with("several ranks need the module espalier_nccl, which is not there; expected it (a build with the "
                       "CUDA 13.0 toolkit and NCCL, both installed) in one of\n         /nowhere/at/all\n"));
}

TEST_CASE("modules that were built load") {
  ::setenv("ESPALIER_MODULE_PATH", ESPALIER_BINARY_DIR "/lib", 1);
  const auto built = [](const char* name) {
    return std::filesystem::exists(std::string(ESPALIER_BINARY_DIR "/lib/") + name);
  };
  if (built("espalier_mpi.so")) CHECK(espalier::comm_problem(at::kCPU).empty());
  Dl_info info{};
  REQUIRE(::dladdr(reinterpret_cast<const void*>(&at::globalContext), &info) != 0);
  const auto cuda = std::filesystem::path(info.dli_fname).parent_path() / "libtorch_cuda.so";
  if (built("espalier_nccl.so") && ::dlopen(cuda.c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr) {
    CHECK(espalier::comm_problem(at::Device(at::kCUDA, 0)).empty());
  } else {
    MESSAGE("the NCCL module was not tried: it was not built, or libtorch_cuda does not load here");
  }
  ::unsetenv("ESPALIER_MODULE_PATH");
}
