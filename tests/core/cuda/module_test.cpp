// SPDX-License-Identifier: Apache-2.0
// What --device cuda says when something is missing.
#include <cstdlib>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "core/base/modules.hpp"
#include "core/base/temporary_folder.hpp"
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
