# SPDX-License-Identifier: Apache-2.0
"""`espalier plugins check`: exit codes, text and JSON, on a library that is right and on one that is not."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

PROGRAM = pathlib.Path(os.environ["ESPALIER_PROGRAM"])
GOOD = PROGRAM.parent / "plugins" / "libschedulers.so"
SOURCE = pathlib.Path(__file__).resolve().parents[2]
BROKEN = PROGRAM.parent / "fixtures" / "plugins" / "libbroken_schedulers.so"


class PluginsCheck(unittest.TestCase):
    def check(self, *arguments):
        return subprocess.run([PROGRAM, "plugins", "check", *arguments], capture_output=True, text=True)

    def test_a_library_that_keeps_its_promises(self):
        result = self.check(GOOD)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("\nscheduler cosine\n  ok       component/made", result.stdout)
        self.assertRegex(result.stdout, r"\n(\d+) of \1 components kept every promise\n$")

    def test_a_broken_promise_is_named_with_its_smallest_case(self):
        result = self.check(BROKEN, "--only", "jumps")
        self.assertEqual(result.returncode, 1)
        self.assertIn("  FAIL     scheduler/continuous ", result.stdout)
        self.assertIn(
            "  scheduler/continuous: the rate jumps; got 0.9 of the peak at once; expected at most 0.25\n"
            "    smallest case: steps 4999 and 5000 of 10000\n"
            "    read: scheduler.hpp, Scheduler\n",
            result.stdout,
        )
        self.assertTrue(result.stdout.endswith("0 of 1 component kept every promise\n"))

    def test_what_an_author_means_to_be_so_is_left_out(self):
        result = self.check(BROKEN, "--only", "jumps", "--except", "scheduler/continuous")
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertRegex(result.stdout, r"\n  skipped  scheduler/continuous +it fails, and was left out by --except\n")

    def test_the_same_as_data(self):
        result = self.check(BROKEN, "--json")
        self.assertEqual(result.returncode, 1)
        data = json.loads(result.stdout)
        self.assertFalse(data["passed"])
        verdicts = {component["name"]: component["passed"] for component in data["components"]}
        self.assertEqual([name for name, passed in verdicts.items() if passed], ["sound"])

    @unittest.skipIf("-fsanitize=address" in (PROGRAM.parent / "build.ninja").read_text(), "the sanitizer reports it")
    def test_a_crash_names_component_and_property(self):
        result = self.check(BROKEN.parent / "libcrashes.so")
        self.assertEqual(result.returncode, -signal.SIGSEGV)
        self.assertIn("error: crashed (SIGSEGV, a wrong address) in metric/scores of 'writes_nowhere'; to see where: gdb", result.stderr)

    def test_the_recipe_of_the_sdk_page_runs_with_its_metric(self):
        page = (SOURCE / "sdk/README.md").read_text()
        recipe = next(block for block in page.split("```toml\n")[1:] if "[teacher]" in block.partition("```")[0]).partition("```")[0]
        library = PROGRAM.parent / "tests/plugins/readme/libreadme_plugin.so"
        with tempfile.TemporaryDirectory() as folder:
            for i in range(24):
                pathlib.Path(folder, f"text-{i}.txt").write_text(f"page {i}\n" + page[400 * i : 400 * i + 2000])
            pathlib.Path(folder, "recipe.toml").write_text(recipe)
            done = subprocess.run([PROGRAM, "run", "recipe.toml", "--set", "data.train=text-*.txt", "--set", f'plugins=["{library}"]',
                                   "--set", "correct.steps=4", "--set", "distill.steps=2"], cwd=folder, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            plan = json.loads(pathlib.Path(folder, "runs/recipe/plan.json").read_text())
            self.assertEqual((plan["teacher"]["ffn"], plan["student"]["ffn"]), (96, 72))

    def test_mistakes_of_the_command_line(self):
        for arguments, error in [
            ([], "error: espalier plugins check: no library; expected espalier plugins check FILE"),
            ([GOOD, "--except", "scheduler/continous"], "error: plugins check: --except: unknown property; got 'scheduler/continous'"),
            ([GOOD, "--only", "cosin"], "error: plugins check: plugin schedulers has no such component; got 'cosin'"),
        ]:
            result = self.check(*arguments)
            self.assertEqual(result.returncode, 2)
            self.assertTrue(result.stderr.startswith(error), result.stderr)

    def test_what_cannot_be_loaded_is_refused_as_anywhere(self):
        for name in ("no_entry", "wrong_abi", "undefined_symbol"):
            result = self.check(BROKEN.parent / f"lib{name}.so")
            self.assertEqual(result.returncode, 1)
            self.assertIn(name, result.stderr)
        result = self.check("nowhere.so")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr, "error: nowhere.so: no such file; expected a plugin (lib….so)\n")


if __name__ == "__main__":
    unittest.main()
