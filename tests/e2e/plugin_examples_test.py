# SPDX-License-Identifier: Apache-2.0
"""The example plugins as their READMEs say: built against an installed Espalier with this repository's headers out of
reach, loaded, and each compared with the built-in component that it stands in for, in runs of a few steps."""

import concurrent.futures
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import tomllib
import unittest

from workspace import SOURCE, write_corpus

BUILD = pathlib.Path(os.environ["ESPALIER_BUILD"])

# Folder, kind of its component, the arm of the quick start to compare with, and what differs in the resolved recipes.
EXAMPLES = [
    ("03_apoz", "metric", "width", ["prune.1.metric"]),
    ("04_relative_magnitude", "metric", "depth", ["prune.0.metric"]),
    ("05_every_other", "axis", "depth", ["prune.0"]),
    ("06_skew_kl", "loss", "width", ["distill.losses.0"]),
    ("07_sgdr", "scheduler", "width", ["distill.scheduler"]),
]
SHORT = ["data.train='corpus/*.txt'", "data.valid_fraction=0.2", "data.seq_length=32", "eval.windows=8"]
SHORT_TEACHER = [*SHORT, "correct.steps=8"]
SHORT_ARM = [*SHORT, "score.samples=8", "score.micro_batch=8", "distill.steps=8", "distill.scheduler.warmup_steps=2"]


def component(folder):
    return folder.split("_", 1)[1]


def options(sets):
    return [word for item in sets for word in ("--set", item)]


def differences(a, b, place=""):
    """The places where two recipes differ. Blocks of different components differ as a whole."""
    if isinstance(a, dict) and isinstance(b, dict) and (not place or (a.keys() == b.keys() and a.get("name") == b.get("name"))):
        for key in sorted(a.keys() | b.keys()):
            yield from differences(a.get(key), b.get(key), f"{place}.{key}".lstrip("."))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b)):
            yield from differences(x, y, f"{place}.{i}")
    elif a != b:
        yield place


class PluginExamples(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="espalier-examples-"))
        cls.prefix = cls.root / "installed"
        cls.work = cls.root / "work"  # what a reader of the examples has: them and the quick start's recipes
        shutil.copytree(SOURCE / "examples", cls.work / "examples", ignore=shutil.ignore_patterns("build"))
        shutil.copytree(SOURCE / "recipes", cls.work / "recipes")
        write_corpus(cls.work / "corpus")
        cls.environment = {k: v for k, v in os.environ.items() if not k.startswith(("ESPALIER_", "CMAKE_", "CPATH"))}
        cls.environment.update(ESPALIER_PREFIX=str(cls.prefix), XDG_DATA_HOME=str(cls.root / "nothing"), CMAKE_EXPORT_COMPILE_COMMANDS="ON")
        if ccache := shutil.which("ccache"):
            cls.environment.update(CMAKE_CXX_COMPILER_LAUNCHER=ccache, CCACHE_BASEDIR=str(cls.root), CCACHE_NOHASHDIR="1")
        cls.run_in("cmake", "--install", BUILD, "--prefix", cls.prefix)
        with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            list(pool.map(cls.build, [folder for folder, *_ in EXAMPLES]))
        cls.espalier("run", "recipes/quickstart/teacher.toml", *options(SHORT_TEACHER))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root, ignore_errors=True)

    @classmethod
    def run_in(cls, *command):
        command = [str(word) for word in command]
        done = subprocess.run(command, cwd=cls.work, capture_output=True, text=True, timeout=300, env=cls.environment)
        if done.returncode != 0:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    @classmethod
    def espalier(cls, *arguments):
        return cls.run_in(cls.prefix / "bin/espalier", *arguments)

    @classmethod
    def build(cls, folder):
        path = cls.work / "examples" / folder
        cls.run_in("cmake", "-S", path, "-B", path / "build", "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_PREFIX_PATH={cls.prefix}")
        cls.run_in("cmake", "--build", path / "build")

    def resolved(self, run):
        recipe = tomllib.loads((self.work / run / "recipe.lock.toml").read_text())
        recipe.pop("lock")  # digests
        return recipe

    def test_the_compiler_saw_the_installed_headers_and_none_of_the_repository(self):
        for folder, *_ in EXAMPLES:
            commands = json.loads((self.work / "examples" / folder / "build/compile_commands.json").read_text())
            self.assertEqual(len(commands), 1, folder)
            command = commands[0]["command"].replace(f"{SOURCE}/.venv/", "")  # LibTorch lies there
            self.assertIn(f"{self.prefix}/include", command)
            self.assertNotIn(f"{SOURCE}/", command)
            self.assertNotIn(f"{BUILD}/", command)

    def test_each_library_loads_and_holds_its_component(self):
        for folder, kind, *_ in EXAMPLES:
            name = component(folder)
            found = json.loads(self.espalier("inspect", f"examples/{folder}/build/lib{name}.so", "--json"))
            self.assertEqual([(c["kind"], c["name"]) for c in found["components"]], [(kind, name)])

    def test_each_library_passes_the_checks_that_the_sdk_has(self):
        for folder, *_ in EXAMPLES:
            self.run_in("ctest", "--test-dir", f"examples/{folder}/build", "--output-on-failure")

    def test_each_recipe_runs_beside_the_built_in_choice_and_differs_in_one_component(self):
        for folder, _, arm, places in EXAMPLES:
            with self.subTest(folder):
                name = component(folder)
                recipe, other = f"examples/{folder}/{name}.toml", f"recipes/quickstart/{arm}.toml"
                out = self.run_in("bash", "examples/compare.sh", recipe, other, "--", *options(SHORT_ARM))
                table = out[out.rindex("\nrun ") :]
                self.assertEqual(re.findall(rf"^({arm}|{name}) +[\d,]+ .* \d\.\d+", table, re.M), [arm, name])
                mine, built_in = self.resolved(f"runs/examples/{name}"), self.resolved(f"runs/quickstart/{arm}")
                expected = ["name", "output", "plugins", *places]
                self.assertEqual(sorted(differences(mine, built_in)), sorted(expected))

    def test_sources_are_short_and_cite_what_their_page_cites(self):
        listed = (SOURCE / "examples/README.md").read_text()
        for folder, *_ in EXAMPLES:
            path = SOURCE / "examples" / folder
            self.assertIn(f"]({folder}/README.md)", listed)
            lines = (path / f"{component(folder)}.cpp").read_text().splitlines()
            self.assertLess(len(lines), 100, folder)
            comment = itertools.takewhile(lambda line: line.startswith("//"), lines[1:])  # after the licence
            head = " ".join(line.lstrip("/ ") for line in comment)
            citation = re.search(r': ([A-Z].*), "(.+?)", .*\b(20\d\d)\b.*, arXiv:(\d{4}\.\d{5}), section \d', head)
            self.assertTrue(citation, f"{folder}: {head}")
            page = " ".join((path / "README.md").read_text().split())
            for part in (*citation.group(1).split(", "), *citation.groups()[1:]):
                self.assertIn(part, page, folder)


if __name__ == "__main__":
    unittest.main(verbosity=2)
