// SPDX-License-Identifier: Apache-2.0
// What --device cuda says when something is missing.
#include <cstdlib>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "core/base/modules.hpp"
#include "core/base/temporary_folder.hpp"
#include "core/cuda/device_problem.hpp"
#include "core/run/device.hpp"

using namespace espalier;

namespace {

class ModulePath {
 public:
  explicit ModulePath(const fs::path& folder) : before_(std::getenv("ESPALIER_MODULE_PATH")) {
    kept_ = before_ ? before_ : "";
    setenv("ESPALIER_MODULE_PATH", folder.c_str(), 1);
  }
  ~ModulePath() { before_ ? setenv("ESPALIER_MODULE_PATH", kept_.c_str(), 1) : unsetenv("ESPALIER_MODULE_PATH"); }
  ModulePath(const ModulePath&) = delete;
  ModulePath& operator=(const ModulePath&) = delete;

 private:
  const char* before_;
  std::string kept_;
};

}  // namespace

TEST_CASE("a module that is not there is named, with the folders and what builds it") {
  const TemporaryFolder empty;
  const ModulePath path(empty.path());
  const std::string program = fs::read_symlink("/proc/self/exe").parent_path().string();
  CHECK(cuda_problem() ==
        "the module espalier_cuda is not there; got no espalier_cuda.so in " + empty.path().string() + ", " + program +
            "/lib, " + (fs::path(program) / "../lib/espalier").lexically_normal().string() +
            "; expected it beside the program: it is built when CMake finds the CUDA toolkit 13 (-DESPALIER_CUDA=ON "
            "says what is missing)");
  CHECK_THROWS_WITH_AS(open_device("cuda"), ("--device cuda: " + cuda_problem()).c_str(), Error);
}

TEST_CASE("a file that is no library, and a library that is no module, are named") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "espalier_cuda.so";
  std::ofstream(file) << "text";
  CHECK_THROWS_WITH_AS(symbol_of_module(file, "x"),
                       (file.string() + ": cannot be loaded; got " + file.string() + ": file too short").c_str(),
                       Error);
  fs::remove(file);
  fs::copy_file(torch_library_folder() / "libgomp.so.1", file);
  CHECK_THROWS_WITH_AS(symbol_of_module(file, "espalier_device_module"),
                       (file.string() + ": is no module of espalier; got no symbol espalier_device_module").c_str(),
                       Error);
}

TEST_CASE("whatever stands in the way of a GPU has a message of its own") {
  using cuda::device_problem;
  using cuda::DriverAnswers;
  DriverAnswers got;
  got.runtime = 13000;
  CHECK(device_problem(got, 0) == "no NVIDIA driver; got no libcuda.so.1; expected a driver for CUDA 13.0");
  got.driver = 12080, got.too_old = true;
  CHECK(device_problem(got, 0) == "the NVIDIA driver is too old; got one for CUDA 12.8; expected 13.0");
  got.driver = 13010, got.too_old = false;
  CHECK(device_problem(got, 0) ==
        "no GPU; got none from the driver; expected one (does CUDA_VISIBLE_DEVICES hide it?)");
  got.error = "unknown error";
  CHECK(device_problem(got, 0) == "the GPU does not answer; got 'unknown error' from the driver");
  got.error = "", got.devices = 2, got.name = "Tesla T4", got.major = 7, got.minor = 5;
  CHECK(device_problem(got, 1) == "GPU 1 is too old; got Tesla T4, compute capability 7.5; expected 8.0 or newer");
  CHECK(device_problem(got, 2) == "no GPU 2; got 2 GPUs; expected one for each rank of this machine");
  got.major = 9, got.minor = 0;
  CHECK(device_problem(got, 1).empty());
}
