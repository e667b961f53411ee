// SPDX-License-Identifier: Apache-2.0
#include <ATen/cpu/Utils.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <cstdlib>
#include <iostream>
#include <thread>

#include "core/base/error.hpp"
#include "core/base/memory.hpp"
#include "core/base/strings.hpp"
#include "core/cli/command_line.hpp"
#include "core/comm/comm.hpp"
#include "core/data/tokenizer_process.hpp"
#include "core/plugin/loader.hpp"
#include "core/run/device.hpp"

namespace espalier {

namespace {

struct Finding {
  std::string what, state, advice;  // advice empty: all is well
};

// Does the Python that tokenizes text have the package? "" when it does.
std::string tokenizer_problem() {
  const std::string python = worker_python();
  if (std::system(("'" + python + "' -I -c 'import tokenizers' >/dev/null 2>&1").c_str()) == 0) return "";
  return python +
         " cannot import the `tokenizers` package; run `bash setup.sh`, or name a Python that has it in "
         "ESPALIER_PYTHON";
}

std::string search_path() {
  std::vector<std::string> folders;
  for (const fs::path& folder : plugin_search_path()) folders.push_back(folder.string());
  return join(folders, ", ");
}

std::vector<Finding> examine() {
  std::vector<Finding> findings;
  findings.push_back({"espalier", ESPALIER_VERSION ", SDK ABI " + std::to_string(kAbi), ""});
  findings.push_back({"LibTorch", ESPALIER_TORCH_VERSION " in " + torch_library_folder().string(), ""});
  findings.push_back(
      {"CPU", fmt::format("{} cores, {}", std::thread::hardware_concurrency(), at::get_cpu_capability()), ""});
  findings.push_back({"memory", human_bytes(static_cast<double>(physical_memory_bytes())), ""});
  std::error_code error;
  const fs::space_info space = fs::space(".", error);
  findings.push_back(
      {"disk here", error ? "unknown" : human_bytes(static_cast<double>(space.available)) + " free", ""});
  Registry registry;
  load_plugins({}, registry);
  findings.push_back(
      {"plugins", fmt::format("{} libraries, {} components", registry.plugins().size(), registry.components().size()),
       registry.plugins().empty() ? "no plugin found on " + search_path() : ""});
  const std::string tokenizers = tokenizer_problem();
  findings.push_back(
      {"tokenizers", tokenizers.empty() ? "found" : "missing (only the byte tokenizer works)", tokenizers});
  const std::string module = cuda_module();
  findings.push_back({"GPU kernels", module.empty() ? "not built" : module, ""});
  const std::string mpi = comm_problem(at::kCPU);
  findings.push_back({"ranks", mpi.empty() ? "MPI is ready (mpirun -n 2 espalier run …)" : "one CPU process", mpi});
  const std::string cuda = cuda_problem();
  findings.push_back({"CUDA", cuda.empty() ? cuda_description() : "not usable (--device cpu works)", cuda});
  return findings;
}

}  // namespace

int verb_doctor(const Arguments& arguments) {
  CommandLine line("doctor", po::options_description(), {});
  if (!line.parse(arguments)) return 0;
  nlohmann::json json = nlohmann::json::array();
  for (const Finding& finding : examine()) {
    json.push_back({{"what", finding.what}, {"state", finding.state}, {"advice", finding.advice}});
    if (line.json()) continue;
    std::cout << fmt::format("{:<12}{}\n", finding.what, finding.state);
    if (!finding.advice.empty()) std::cout << fmt::format("{:<12}{}\n", "", finding.advice);
  }
  if (line.json()) print_json(json);
  return 0;
}

}  // namespace espalier
