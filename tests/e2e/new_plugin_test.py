# SPDX-License-Identifier: Apache-2.0
"""From an idea to a plugin that works, outside of the repository: an installed Espalier, an empty folder, and what
`espalier plugins new` writes there. One project is built as its README says, the others together, to configure once.

With ESPALIER_TEST_CUDA=1 the projects with kernels are built too (that takes nvcc and half a minute, but no GPU).
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["ESPALIER_BUILD"])
KINDS = ["metric", "axis", "loss", "feature-loss", "scheduler"]
WITH_KERNELS = ["metric", "loss", "feature-loss"]

SUPERPROJECT = """
cmake_minimum_required(VERSION 3.25)
project(together LANGUAGES CXX)
enable_testing()
foreach(folder {folders})
  add_subdirectory(${{folder}} ${{CMAKE_SOURCE_DIR}}/${{folder}}/build)
endforeach()
"""


def nvcc():
    return shutil.which("nvcc") or next(iter(pathlib.Path("/usr/local/cuda/bin").glob("nvcc")), None)


class NewPlugin(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="espalier-new-"))
        cls.environment = {k: v for k, v in os.environ.items() if not k.startswith(("ESPALIER_", "CMAKE_", "CUDA"))}
        cls.environment.update(XDG_DATA_HOME=str(cls.root / "nothing"), PATH=f"{cls.root}/moved/bin:{os.environ['PATH']}")
        # What an author's own build may ask for. The last ones GCC 12 reports falsely inside std::string.
        cls.environment["CXXFLAGS"] = "-Wall -Wextra -Wpedantic -Wshadow -Werror -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread"
        cls.run_in(cls.root, "cmake", "--install", BUILD, "--prefix", cls.root / "first")
        (cls.root / "first").rename(cls.root / "moved")  # a prefix is not tied to its place
        cls.work = cls.root / "work"
        cls.work.mkdir()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root, ignore_errors=True)

    @classmethod
    def run_in(cls, folder, *command, expect=0):
        done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=600, env=cls.environment)
        if done.returncode != expect:
            raise AssertionError(f"{command} ended with {done.returncode}, not {expect}:\n{done.stdout}\n{done.stderr}")
        return done

    def new(self, *arguments, expect=0):
        return self.run_in(self.work, "espalier", "plugins", "new", *arguments, expect=expect)

    def check_commands(self, build):
        """The compiler saw the prefix and LibTorch, and no file of the repository."""
        commands = json.loads((build / "compile_commands.json").read_text())
        self.assertTrue(commands)
        for entry in commands:
            self.assertIn(f"{self.root}/moved/include", entry["command"])
            rest = entry["command"].replace(f"{SOURCE}/.venv/", "")
            self.assertNotIn(f"{SOURCE}/", rest)
            self.assertNotIn(f"{BUILD}/", rest)

    def check_libraries(self, folders):
        """One symbol each, and a stamp."""
        for folder in folders:
            library = self.work / folder / "build" / f"lib{folder}.so"
            self.run_in(self.work, "bash", SOURCE / "tests/sdk/exports.sh", library)
            toolkit = rb"\d+\.\d+" if list((self.work / folder).glob("*.cu")) else b"none"
            self.assertRegex(library.read_bytes(), rb"espalier:abi=\d+:torch=[\d.]+:cc=\w+:cxx11abi=1:cuda=" + toolkit + rb"\0")

    def check_run(self, folder):
        run = folder / "runs" / folder.name
        measured = json.loads((run / "eval.json").read_text())
        self.assertTrue(measured)
        self.assertTrue((run / "export" / "config.json").is_file())
        self.assertIn(folder.name, (run / "recipe.lock.toml").read_text())

    def build_together(self, folders, name):
        (self.work / "CMakeLists.txt").write_text(SUPERPROJECT.format(folders=" ".join(folders)))
        build = self.work / name
        self.run_in(self.work, "cmake", "-G", "Ninja", "-B", build, "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", f"-DCMAKE_PREFIX_PATH={self.root}/moved")
        self.check_commands(build)
        self.run_in(self.work, "cmake", "--build", build, "--parallel", len(os.sched_getaffinity(0)))
        self.check_libraries(folders)
        self.run_in(self.work, "ctest", "--test-dir", build, "--no-tests=error", "--output-on-failure")

    def test_a_metric_as_its_readme_says(self):
        said = self.new("metric", "stands_out").stdout
        self.assertIn(f"-DCMAKE_PREFIX_PATH={self.root}/moved\n", said)
        folder = self.work / "stands_out"
        page = (folder / "README.md").read_text()
        walk = re.search(r"```\n(.*?)```", page, re.S).group(1)
        self.assertEqual(len(walk.splitlines()), 5)
        script = "set -e\nexport CMAKE_EXPORT_COMPILE_COMMANDS=ON\n" + walk.replace("=ESPALIER ", f"={self.root}/moved ")
        done = self.run_in(folder, "bash", "-c", script)
        self.assertRegex(done.stdout, r"plugin_check_stands_out \.+ +Passed")
        self.assertIn("metric stands_out: ", done.stdout)
        self.check_commands(folder / "build")
        self.check_libraries([folder.name])
        self.check_run(folder)

    def test_the_other_kinds(self):
        folders = []
        for kind in KINDS[1:]:
            folders.append("my_" + kind.replace("-", "_"))
            self.new(kind, folders[-1])
        self.build_together(folders, "build-all")
        for folder in folders:
            self.run_in(self.work / folder, "espalier", "run", "recipe.toml")
            self.check_run(self.work / folder)

    def test_kernels(self):
        folders = []
        for kind in WITH_KERNELS:
            folders.append("cuda_" + kind.replace("-", "_"))
            self.new(kind, folders[-1], "--cuda")
            self.assertNotIn("torch", (self.work / folders[-1] / f"{folders[-1]}.cu").read_text())
        folders_of_nvcc = [folder for folder in [*os.environ["PATH"].split(":"), "/usr/local/cuda/bin"] if pathlib.Path(folder, "nvcc").exists()]
        if "/usr/bin" not in folders_of_nvcc:  # where it could not be hidden alone
            hide = "-DCMAKE_IGNORE_PATH=" + ";".join(folders_of_nvcc)
            done = self.run_in(self.work / "cuda_loss", "cmake", "-B", "none", f"-DCMAKE_PREFIX_PATH={self.root}/moved", hide, expect=1)
            said = " ".join(done.stderr.split())
            self.assertIn("espalier_add_plugin(cuda_loss): no compiler for CUDA_SOURCES; got no nvcc on PATH, in CUDA_HOME or in /usr/local/cuda; expected the CUDA toolkit", said)
        if not os.environ.get("ESPALIER_TEST_CUDA") or not nvcc():
            return
        self.build_together(folders, "build-cuda")
        for folder in folders:  # on the CPU: the library loads without a driver, and takes the other path
            self.run_in(self.work / folder, "espalier", "run", "recipe.toml")
            self.check_run(self.work / folder)

    def test_the_build_folder_is_a_package_too(self):
        project = self.work / "uses_build"
        self.new("scheduler", "uses_build")
        for argument in (f"-DEspalier_DIR={BUILD}", f"-DCMAKE_PREFIX_PATH={BUILD}"):
            shutil.rmtree(project / "build", ignore_errors=True)
            self.run_in(project, "cmake", "-B", "build", argument)
            self.assertIn(f"{SOURCE}/sdk/include", (project / "build/CMakeFiles/uses_build.dir/flags.make").read_text())

    def test_the_package_serves_its_own_minor_version(self):
        project = self.work / "versions"
        project.mkdir()
        for version, works in (("0.1", True), ("0.0", False), ("0.2", False), ("1", False)):
            (project / "CMakeLists.txt").write_text(f"cmake_minimum_required(VERSION 3.25)\nproject(v LANGUAGES CXX)\nfind_package(Espalier {version} REQUIRED)\n")
            self.run_in(project, "cmake", "-B", "build", f"-DCMAKE_PREFIX_PATH={self.root}/moved", expect=0 if works else 1)

    def test_what_cannot_be_is_refused_and_nothing_is_written(self):
        before = sorted(self.work.iterdir())
        (self.root / "file").write_text("")
        for arguments, message in (
            (["metrc", "x"], "unknown kind; got 'metrc'; expected 'metric', 'axis', 'loss', 'feature-loss' or 'scheduler'; did you mean 'metric'?"),
            (["metric", "Peak-Two"], "not a name for a plugin; got 'Peak-Two'; expected lower case letters, digits and underscores, at most 64, a letter first: 'peak_two'"),
            (["metric", "2nd"], "a letter first: 'nd'"),
            (["metric", "ümlaut"], "a letter first: 'mlaut'"),
            (["metric", ""], "a letter first: 'my_metric'"),
            (["loss", "double"], "got 'double', a word of C++ or CMake; expected another: 'my_double'"),
            (["loss", "test"], "expected another: 'my_test'"),
            (["metric", "activation"], "the name is taken; got 'activation', which is a metric of plugin importance"),
            (["loss", "axes"], "which is the library of plugin axes"),
            (["axis", "x", "--cuda"], "no use for a kernel; got --cuda with kind 'axis'; expected it with 'metric', 'loss' or 'feature-loss'"),
            (["metric", "x", "-o", str(self.root / "moved")], "which is not empty; expected a new or an empty folder (-o FOLDER)"),
            (["metric", "x", "-o", str(self.root / "file")], "which is a file; expected a new or an empty folder (-o FOLDER)"),
            (["metric"], "a kind and a name are needed"),
        ):
            with self.subTest(arguments=arguments):
                self.assertIn(message, self.new(*arguments, expect=2).stderr)
        self.new("metric", "x", "-o", self.root / "file" / "x", expect=1)
        self.assertEqual(sorted(self.work.iterdir()), before)

    def test_an_empty_folder_is_filled_in_its_place(self):
        here = self.work / "here"
        here.mkdir()
        self.run_in(here, "espalier", "plugins", "new", "axis", "in_place", "-o", ".")
        self.assertEqual(sorted(path.name for path in here.iterdir()), [".gitignore", "CMakeLists.txt", "README.md", "in_place.cpp", "recipe.toml", "text.jsonl"])
        listed = json.loads(self.new("axis", "in_place", "-o", "deep/er", "--json").stdout)
        self.assertEqual(listed["files"], sorted(path.name for path in (self.work / "deep/er").iterdir()))
        for path in here.iterdir():
            self.assertNotIn("@", path.read_text(), path)
            self.assertNotIn("SPDX", path.read_text(), path)


if __name__ == "__main__":
    unittest.main(verbosity=2)
