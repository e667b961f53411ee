# SPDX-License-Identifier: Apache-2.0
"""The recipes of published systems: `plan` gives the published totals from configs alone, and reads nothing else."""

import json
import subprocess
import tempfile
import time
import unittest

from workspace import PROGRAM, SOURCE

PUBLISHED = SOURCE / "recipes/published"

# Totals of the published checkpoints; the last two, which nobody has published, by hand from the shapes:
# V·H + L·(2·H·Nq·D + 2·H·Nkv·D + 2·D + 3·H·F + 2·H) + H, with 2·D for Qwen3's norms of q and k only.
TOTALS = {
    "nemotron-4-15b-to-minitron-8b.width": (15_628_775_424, 8_271_699_968),
    "nemotron-4-15b-to-minitron-4b.width": (15_628_775_424, 4_190_509_056),
    "minitron-8b-to-minitron-4b.width": (8_271_699_968, 4_190_509_056),
    "llama-3.1-8b-to-4b.width": (8_030_261_248, 4_512_746_496),
    "llama-3.1-8b-to-4b.depth": (8_030_261_248, 4_540_469_248),
    "mistral-nemo-12b-to-8b.width": (12_247_782_400, 8_414_105_600),
    "qwen3-1.7b-to-1.1b.width": (1_720_574_976, 1_092_252_160),
    "llama-3.2-3b-to-2b.depth-width": (3_212_749_824, 2_105_797_120),
}
# Searches: candidates inside the budgets, and the parameters of the released one among them.
SEARCHES = {
    "nemotron-4-15b-to-minitron-8b.search": (15, 8_271_699_968),
    "nemotron-4-15b-to-minitron-4b.search": (18, 4_190_509_056),
}
TEACHERS = {"nemotron-3-8b": 8_540_135_424, "qwen3-8b": 8_190_735_360}


def plan(recipe, *arguments, expect=0):
    done = subprocess.run([str(PROGRAM), "plan", recipe, *arguments], cwd=SOURCE, capture_output=True, text=True, timeout=60)
    assert done.returncode == expect, f"{recipe}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


class Published(unittest.TestCase):
    maxDiff = None

    def test_every_recipe_gives_its_published_totals(self):
        recipes = {path.stem: path for path in PUBLISHED.glob("*.toml")}
        self.assertEqual(sorted(recipes), sorted([*TOTALS, *SEARCHES]))
        for name, (teacher, student) in TOTALS.items():
            with self.subTest(name):
                started = time.monotonic()
                result = json.loads(plan(recipes[name], "--json").stdout)
                self.assertEqual((result["teacher"]["parameters"], result["student"]["parameters"]), (teacher, student))
                self.assertIn(f"{student:,}", recipes[name].read_text())
                self.assertLess(time.monotonic() - started, 30)  # hours, if it read anything

    def test_the_searches_have_the_papers_candidates(self):
        for name, (count, released) in SEARCHES.items():
            with self.subTest(name):
                totals = [one["parameters"] for one in json.loads(plan(PUBLISHED / f"{name}.toml", "--json").stdout)["candidates"]]
                self.assertEqual(len(totals), count)
                self.assertIn(released, totals)

    def test_the_other_teachers_have_their_published_totals(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, total in TEACHERS.items():
                recipe = f"{folder}/recipe.toml"
                with open(recipe, "w", encoding="utf-8") as file:
                    file.write(f'[teacher]\npath = "none"\nconfig = "recipes/published/teachers/{name}.json"\n')
                self.assertEqual(json.loads(plan(recipe, "--json").stdout)["teacher"]["parameters"], total)

    def test_a_config_stands_for_a_folder_that_is_not_there_and_must_agree_with_one_that_is(self):
        recipe = PUBLISHED / "llama-3.1-8b-to-4b.width.toml"
        with tempfile.TemporaryDirectory() as folder:
            config = json.loads((PUBLISHED / "teachers/llama-3.1-8b.json").read_text())
            config["max_position_embeddings"] = 8192  # revisions of one model differ in that
            config["num_hidden_layers"] = 31
            with open(f"{folder}/config.json", "w", encoding="utf-8") as file:
                json.dump(config, file)
            refused = plan(recipe, "--set", f"teacher.path={folder}", expect=1)
            self.assertIn("config.json: not the architecture of recipes/published/teachers/llama-3.1-8b.json; got layers = 31; expected 32",
                          refused.stderr)
        missing = plan(recipe, "--set", "teacher.config=none.json", expect=1)
        self.assertIn("none.json: cannot read", missing.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
