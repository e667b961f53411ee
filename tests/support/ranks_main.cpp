// SPDX-License-Identifier: Apache-2.0
// Every rank runs all cases; they meet in each call.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

#include "tests/support/ranks.hpp"

namespace {
std::unique_ptr<espalier::Comm> comm;
}

espalier::Comm& ranks() { return *comm; }

int main(int argc, char** argv) {
  try {
    comm = espalier::open_comm(espalier::this_launch(), at::kCPU);
    if (comm->size() < 2) return std::fprintf(stderr, "expected several ranks: mpirun -n 2 …\n"), 1;
    const int result = doctest::Context(argc, argv).run();
    comm.reset();
    return result;
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "error: %s\n", error.what()), 1;
  }
}
