# SPDX-License-Identifier: Apache-2.0
"""The architecture search: what it finds, what it costs, and that a killed one ends with the same table."""

import json
import random
import shutil
import signal
import subprocess
import time
import unittest

from workspace import SOURCE, Workspace, tree_digests

SEARCH = """
schema = 1
name   = "searched"
output = "runs/searched"
[teacher]
path = "runs/teacher"
[data]
train          = "corpus/*.txt"
valid_fraction = 0.2
tokenizer      = "bytes"
seq_length     = 32
[score]
samples     = 24
micro_batch = 6
[[prune]]
axis   = "hidden"
metric = { name = "activation" }
[[prune]]
axis   = "ffn"
metric = { name = "activation" }
[[prune]]
axis   = "layers"
metric = { name = "block_influence" }
[search]
axes   = [ { axis = "hidden", keep = [12, 16, 24] }, { axis = "ffn", ratio_of = "hidden", keep = [0.5, 1.5] },
           { axis = "layers", from = 2, to = 4 } ]
budget = [ { by = "parameters", at_least = 9_800, at_most = 19_500 }, { by = "kv_bytes_per_token", at_most = 400 } ]
rounds = [3_072, 3_072, 6_144]
windows = 24
save_every = 5
[distill]
steps        = 24
global_batch = 4
micro_batch  = 4
scheduler    = { name = "cosine", peak = 4e-3, min = 4e-4, warmup_steps = 4 }
save_every   = 0
eval_every   = 0
log_every    = 4
[export]
dtype = "float32"
"""


class Search(Workspace):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.root / "search.toml").write_text(SEARCH)
        cls.run_program("run", "teacher.toml", "--set", "correct.steps=160", "--set", "correct.save_every=0", "--set", "correct.log_every=20")
        started = time.monotonic()
        cls.first = cls.run_program("run", "search.toml")
        cls.seconds = time.monotonic() - started
        cls.run_folder = cls.root / "runs/searched"
        cls.table = json.loads((cls.run_folder / "search.json").read_text())

    def table_of(self, output, *overrides):
        sets = [word for override in overrides for word in ("--set", override)]
        self.run_program("prune", "search.toml", "--set", f"output={output}", *sets)
        return json.loads((self.root / output / "search.json").read_text())

    def test_plan_lists_the_candidates_without_a_weight(self):
        folder = self.root / "config_only"
        folder.mkdir()
        shutil.copy(self.root / "runs/teacher/export/config.json", folder)
        shown = json.loads(self.run_program("plan", "search.toml", "--json", "--set", 'teacher.path="config_only"').stdout)
        names = [candidate["name"] for candidate in shown["candidates"]]
        self.assertEqual(sorted(names), sorted(candidate["name"] for candidate in self.table["candidates"]))
        self.assertEqual(shown["points"], 18)
        self.assertEqual(len(names), 8)
        for candidate in shown["candidates"]:
            # Embedding and head 257·H each; a layer: q, o of H·32, k, v of H·16, three matrices H·F, two norms; a last norm.
            shape = candidate["shape"]
            hidden, ffn = shape["hidden"], shape["ffn"]
            counted = 2 * 257 * hidden + hidden + shape["layers"] * (96 * hidden + 3 * hidden * ffn + 2 * hidden)
            self.assertEqual(candidate["parameters"], counted)
            self.assertTrue(9_800 <= counted <= 19_500)
        text = self.run_program("plan", "search.toml").stdout
        self.assertIn("8 candidates of 18 points: parameters from 9,800 to 19,500, and kv_bytes_per_token of at most 400\n", text)
        self.assertIn("tensor cores: a row is not a multiple of 64", text)

    def test_the_recipe_of_minitron_4b_plans_its_eighteen_candidates_from_a_config(self):
        recipe = "recipes/published/nemotron-4-15b-to-minitron-4b.search.toml"
        done = subprocess.run(self.command("plan", recipe, "--json"), cwd=SOURCE, capture_output=True, text=True, timeout=60, check=True)
        shown = json.loads(done.stdout)
        self.assertEqual((shown["points"], len(shown["candidates"])), (240, 18))
        self.assertEqual([candidate["parameters"] for candidate in shown["candidates"]],
                         sorted((candidate["parameters"] for candidate in shown["candidates"]), reverse=True))
        self.assertEqual(shown["candidates"][0]["name"], "hidden3072-ffn9216-heads24-layers32")  # the released 4B
        self.assertEqual(shown["candidates"][0]["parameters"], 4_190_509_056)

    def test_budgets_that_no_shape_meets_are_told_before_anything_runs(self):
        refused = self.run_program("run", "search.toml", "--set", "output=runs/none", "--set", "search.budget.0.at_most=9_810", expect=2)
        self.assertIn("[search] no point of the grid meets the budgets; got 18 points; expected parameters from 9,800 to 9,810, and kv_", refused.stderr)
        self.assertIn("note: nearest: hidden12-ffn18-layers2: parameters 9,828, kv_bytes_per_token 256", refused.stderr)
        self.assertFalse((self.root / "runs/none").exists())

    def test_the_winner_is_pruned_distilled_and_proved(self):
        winner = next(candidate for candidate in self.table["candidates"] if candidate["rank"] == 1)
        self.assertEqual(self.table["winner"], winner["name"])
        plan = json.loads((self.run_folder / "plan.json").read_text())
        self.assertEqual(plan["student"]["parameters"], winner["parameters"])
        self.assertEqual(len(plan["selections"]["hidden"]), winner["keep"]["hidden"])
        self.assertEqual(len(plan["layer_of"]), winner["keep"]["layers"])
        self.assertIn("verified:", self.run_program("verify", "runs/searched").stdout)
        config = json.loads((self.run_folder / "export/config.json").read_text())
        self.assertEqual(config["intermediate_size"], winner["keep"]["ffn"])
        self.assertEqual(config["num_hidden_layers"], winner["keep"]["layers"])
        self.assertIn("trained on", self.first.stderr)

    def test_a_search_with_a_cached_teacher_finds_the_same_and_asks_the_teacher_once(self):
        done = self.run_program("prune", "search.toml", "--set", "output=runs/cached", "--set", "teacher_cache.k=257")
        self.assertEqual((self.root / "runs/cached/search.json").read_bytes(), (self.run_folder / "search.json").read_bytes())
        self.assertEqual(done.stderr.count("windows are computed"), 1)

    def test_halving_finds_what_training_everyone_finds_for_half_of_the_tokens(self):
        everyone = self.table_of("runs/everyone", "search.keep=1.0")
        self.assertEqual(everyone["tokens"], 8 * 12_288)
        self.assertEqual(self.table["tokens"], 8 * 3_072 + 4 * 3_072 + 2 * 6_144)
        self.assertEqual(2 * self.table["tokens"], everyone["tokens"])
        self.assertEqual(self.table["winner"], everyone["winner"])
        # Going on after a round is the same training, whoever else was dropped.
        full = {candidate["name"]: candidate for candidate in everyone["candidates"]}
        for candidate in self.table["candidates"]:
            rounds = len(candidate["nll"])
            self.assertEqual(candidate["nll"], full[candidate["name"]]["nll"][:rounds])
            self.assertEqual(rounds, candidate["dropped_in_round"] or 3)
        self.assertEqual([candidate["rank"] for candidate in self.table["candidates"]], list(range(1, 9)))
        last = [candidate["nll"][-1] for candidate in everyone["candidates"]]
        self.assertEqual(last, sorted(last))
        before = [candidate["zero_shot_nll"] for candidate in everyone["candidates"]]
        self.assertNotEqual(before, sorted(before))  # training changes the order: the first ranking is not enough
        # One long training from the start, without a stop between rounds, gives the same loss.
        once = self.table_of("runs/once", "search.keep=1.0", "search.rounds=[12_288]")
        self.assertEqual({candidate["name"]: candidate["nll"][0] for candidate in once["candidates"]},
                         {candidate["name"]: candidate["nll"][2] for candidate in everyone["candidates"]})

    def test_states_of_dropped_candidates_are_removed_and_their_logs_stay(self):
        for candidate in self.table["candidates"]:
            folder = self.run_folder / "search" / candidate["name"]
            self.assertEqual((folder / "checkpoints").exists(), candidate["rank"] == 1)
            steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
            self.assertEqual(steps[-1], candidate["tokens"] // 128)

    def test_a_finished_search_is_skipped_and_another_budget_searches_again_with_the_same_scores(self):
        self.assertIn("nothing to do", self.run_program("run", "search.toml").stderr)
        self.table_of("runs/wider")
        again = self.run_program("prune", "search.toml", "--set", "output=runs/wider", "--set", "search.budget.0.at_most=15_000", "--set", "search.throughput=true")
        self.assertRegex(again.stderr, r"score +unchanged, skipped")
        self.assertRegex(again.stderr, r"search +find the best shape")
        self.assertIn("tokens/s", again.stderr)
        table = json.loads((self.root / "runs/wider/search.json").read_text())
        self.assertLess(len(table["candidates"]), 8)
        self.assertEqual({path.name for path in (self.root / "runs/wider/search").iterdir() if path.is_dir()},
                         {candidate["name"] for candidate in table["candidates"]})

    def test_a_budget_of_throughput_is_measured_once_and_may_shut_out_everyone(self):
        budget = '{ by = "parameters", at_least = 9_800, at_most = 19_500 }, { by = "throughput", batch = 2, sequence = 16, at_least = %s }'
        options = ["prune", "search.toml", "--set", "output=runs/fast", "--set", "search.rounds=[]", "--set"]
        refused = self.run_program(*options, f"search.budget=[{budget % '1e12'}]", expect=1)
        self.assertIn("search: no candidate meets the budget throughput of at least 1,000,000,000,000; got\n  hidden", refused.stderr)
        done = self.run_program(*options, f"search.budget=[{budget % '1'}]")
        speeds = json.loads((self.root / "runs/fast/search/throughput.json").read_text())["2 × 16"]
        table = json.loads((self.root / "runs/fast/search.json").read_text())
        self.assertEqual(set(speeds), {candidate["name"] for candidate in table["candidates"]})
        self.assertTrue(all(speed > 0 for speed in speeds.values()))
        self.assertNotIn("outside the budget", done.stderr)

    def test_without_rounds_the_loss_before_training_decides_and_the_log_warns(self):
        done = self.run_program("prune", "search.toml", "--set", "output=runs/zero_shot", "--set", "search.rounds=[]")
        table = json.loads((self.root / "runs/zero_shot/search.json").read_text())
        losses = [candidate["zero_shot_nll"] for candidate in table["candidates"]]
        self.assertEqual(losses, sorted(losses))
        self.assertEqual(table["tokens"], 0)
        self.assertIn("the loss right after the cut decides", done.stderr)
        before = {candidate["name"]: candidate["zero_shot_nll"] for candidate in self.table["candidates"]}
        self.assertEqual(before, {candidate["name"]: candidate["zero_shot_nll"] for candidate in table["candidates"]})

    def test_a_search_killed_at_six_moments_ends_with_the_same_files(self):
        draw = random.Random(4)
        for kill in range(6):
            child = subprocess.Popen(self.command("run", "search.toml", "--set", "output=runs/killed"), cwd=self.root,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                child.wait(timeout=draw.uniform(0.15, 0.5) * self.seconds)
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL if kill % 3 else signal.SIGTERM)
                child.wait()
        self.run_program("run", "search.toml", "--set", "output=runs/killed")
        expected, found = tree_digests(self.run_folder), tree_digests(self.root / "runs/killed")
        for digests in (expected, found):
            digests.pop("recipe.lock.toml")  # names the output folder
        self.assertEqual(expected, found)

    def test_the_lock_reproduces_the_search(self):
        self.run_program("prune", self.run_folder / "recipe.lock.toml", "--set", "output=runs/locked")
        self.assertEqual((self.run_folder / "search.json").read_bytes(), (self.root / "runs/locked/search.json").read_bytes())


if __name__ == "__main__":
    unittest.main(verbosity=2)
