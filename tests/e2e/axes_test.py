# SPDX-License-Identifier: Apache-2.0
"""What axes fold, how they rank, and importance in rounds: as recipes name them, to the export, stopped and resumed."""

import json
import signal
import subprocess
import time
import unittest

from workspace import STUDENT, Workspace, tree_digests

METRIC = 'metric = { name = "activation" }'
HEAD, TAIL = STUDENT.split("[[prune]]")[0], "[distill]" + STUDENT.split("[distill]")[1].replace("steps        = 24", "steps        = 2")


def recipe(name, *blocks, score=""):
    """The student's recipe with other axes, and two steps of distillation."""
    text = HEAD.replace("student", name).replace("samples     = 24", "samples     = 24\n" + score)
    return text + "".join(f"[[prune]]\n{block}\n" + ("" if "metric" in block else METRIC) + "\n" for block in blocks) + TAIL


class Axes(Workspace):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_program("run", "teacher.toml")

    def run_recipe(self, name, *blocks, score="", expect=0, verb="run"):
        (self.root / f"{name}.toml").write_text(recipe(name, *blocks, score=score))
        return self.run_program(verb, f"{name}.toml", expect=expect)

    def json_of(self, name, file):
        return json.loads((self.root / "runs" / name / file).read_text())

    def test_the_residual_of_heads_is_planned_sliced_and_proved(self):
        self.run_recipe("residual", 'axis = "heads"\nkeep = 2\nresidual = "kept_minus_pruned"')
        self.assertTrue(self.json_of("residual", "verify.json")["passed"])
        (axis,) = self.json_of("residual", "plan.json")["axes"]
        self.assertEqual([(group["dimension"], group["layer"], set(group["own"]), set(group["other"])) for group in axis["folds"]],
                         [(0, [0, 0, 1, 1, 2, 2, 3, 3], {2.0}, {-1.0}), (1, [0, 0, 1, 1, 2, 2, 3, 3], {2.0}, {-1.0})])
        self.run_program("verify", "runs/residual")
        self.run_recipe("none", 'axis = "heads"\nkeep = 2')
        self.assertNotIn("folds", self.json_of("none", "plan.json")["axes"][0])
        self.assertEqual(self.json_of("none", "plan.json")["selections"], self.json_of("residual", "plan.json")["selections"])

    def test_head_dim_is_written_with_the_theta_that_goes_with_it(self):
        self.run_recipe("head_dim", 'axis = "head_dim"\nkeep = 4', 'axis = "hidden"\nkeep = 24')
        config = self.json_of("head_dim", "export/config.json")
        kept = self.json_of("head_dim", "plan.json")["selections"]["head_dim"]
        self.assertEqual(config["head_dim"], 4)
        # Pairs 0 and s of 4; theta^(-2s/8) is the frequency of pair 1 of 2 in the student.
        self.assertEqual(kept, [0, kept[1], 4, 4 + kept[1]])
        self.assertAlmostEqual(config["rope_theta"] ** (-2 / 4), 10000.0 ** (-2 * kept[1] / 8), delta=1e-12)
        self.assertEqual(config["rope_parameters"]["rope_theta"], config["rope_theta"])
        self.run_program("verify", "runs/head_dim")

    def test_ranking_by_the_sum_gives_one_choice_and_across_layers_other_sizes(self):
        self.run_recipe("sum", 'axis = "ffn"\nkeep = 24\nranking = "sum"')
        kept = self.json_of("sum", "plan.json")["selections"]["ffn"]
        self.assertEqual(kept, [kept[0]] * 4)
        done = self.run_recipe("global", 'axis = "ffn"\nkeep = 24\nranking = "global"\nunequal = true\ngranularity = 4')
        sizes = [len(layer) for layer in self.json_of("global", "plan.json")["selections"]["ffn"]]
        self.assertEqual(sum(sizes), 4 * 24)
        self.assertTrue(all(size >= 4 and size % 4 == 0 for size in sizes) and len(set(sizes)) > 1, sizes)
        self.assertIn("layers differ in size", done.stderr)
        self.run_program("eval", "runs/global", "--data", "corpus/00.txt", "--seq-length", "32")  # this program loads it

    def test_layers_of_other_sizes_are_asked_for_twice(self):
        error = self.run_recipe("refused", 'axis = "ffn"\nkeep = 24\nranking = "global"', expect=2, verb="plan").stderr
        self.assertRegex(error, r'refused.toml:\d+:\d+: error: \[prune\] ranking of axis \'ffn\' "global" leaves layers of different sizes; got '
                                r"unequal = false; expected unequal = true beside it, if the student is for this program alone: transformers, "
                                r"vLLM and llama.cpp cannot load it")

    ROUNDS = ('axis = "ffn"\nkeep = 24', 'axis = "hidden"\nkeep = 24', 'axis = "layers"\nkeep = 2\nmetric = { name = "block_influence" }')

    def test_rounds_score_the_student_of_the_round_before(self):
        self.run_recipe("rounds", *self.ROUNDS[:2], score="rounds = 2")
        folder = self.root / "runs/rounds"
        self.assertEqual(sorted(path.name for path in (folder / "scores").iterdir()),
                         ["ffn.round2.safetensors", "ffn.safetensors", "hidden.round2.safetensors", "hidden.safetensors"])
        self.assertIn("36", self.run_program("inspect", "runs/rounds/scores/ffn.round2.safetensors").stdout)
        self.run_program("verify", "runs/rounds")
        # By hand: half of the way as a run of its own, whose student the second run starts from.
        self.run_recipe("half", 'axis = "ffn"\nkeep = 36', 'axis = "hidden"\nkeep = 28')
        text = recipe("second", *self.ROUNDS[:2]).replace('path = "runs/teacher"', 'path = "runs/half/student"')
        (self.root / "second.toml").write_text(text)
        self.run_program("run", "second.toml")
        self.assertEqual((folder / "student/model.safetensors").read_bytes(),
                         (self.root / "runs/second/student/model.safetensors").read_bytes())
        # A second run, and one of another length, find what they share.
        again = self.run_program("run", "rounds.toml", "--set", "output=runs/again")
        self.assertIn("4 of 4 score files are reused", again.stderr)
        one = self.run_program("run", "rounds.toml", "--set", "output=runs/one", "--set", "score.rounds=1")
        self.assertIn("2 of 2 score files are reused", one.stderr)

    def test_rounds_that_are_killed_go_on_to_the_same_bytes(self):
        (self.root / "killed.toml").write_text(recipe("killed", *self.ROUNDS, score="rounds = 3"))
        self.run_program("run", "killed.toml", "--set", "output=runs/whole/killed")
        whole = tree_digests(self.root / "runs/whole/killed")
        for number in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(signal=number.name):
                output = self.root / f"runs/stopped_by_{number}/killed"
                command = self.command("run", "killed.toml", "--set", f"output={output.relative_to(self.root)}")
                child = subprocess.Popen(command, cwd=self.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                while child.poll() is None and not (output / "scores/ffn.safetensors").exists():
                    time.sleep(0.001)
                child.send_signal(number)
                child.wait()
                self.run_program(*command[1:])
                stopped = tree_digests(output)
                for digests in (whole, stopped):
                    digests.pop("recipe.lock.toml", None)  # it names the output folder
                self.assertEqual(whole, stopped)

    def test_folds_of_two_axes_do_not_go_over_rounds(self):
        error = self.run_recipe("folding", 'axis = "heads"\nkeep = 2\nresidual = "pruned_minus_kept"', 'axis = "head_dim"\nkeep = 4',
                                score="rounds = 2", expect=2).stderr
        self.assertIn("score.rounds: the folds of axes 'heads' and 'head_dim' cannot go over several rounds together; expected rounds = 1, "
                      "or one axis that folds", error)


if __name__ == "__main__":
    unittest.main(verbosity=2)
