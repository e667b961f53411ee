# SPDX-License-Identifier: Apache-2.0
"""Losses as a recipe names them: on logits and on hidden states together, stopped and resumed, and what is exported."""

import json
import math
import os
import signal
import struct
import subprocess
import time
import unittest

from workspace import STUDENT, Workspace, tree_digests

KL = 'losses       = [ { name = "kl", weight = 0.8, temperature = 2.0 }, { name = "cross_entropy", weight = 0.2 } ]'
COSINE = 'scheduler    = { name = "cosine", peak = 2e-3, min = 1e-4, warmup_steps = 4 }'


def recipe(losses, steps):
    """The student's recipe with other losses, and a scheduler that stays at its peak for a while."""
    text = STUDENT.replace(KL, f"losses = [ {losses} ]").replace("steps        = 24", f"steps = {steps}")
    return text.replace(COSINE, 'scheduler = { name = "wsd", peak = 2e-3, min = 1e-4, warmup_tokens = 512, decay_share = 0.25 }')


def tensors(path):
    """Name → (shape, bytes) of a safetensors file."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    body = data[8 + length:]
    return {name: (info["shape"], body[slice(*info["data_offsets"])]) for name, info in header.items() if name != "__metadata__"}


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


class Losses(Workspace):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_program("run", "teacher.toml")
        (cls.root / "features.toml").write_text(
            recipe('{ name = "kl" }, { name = "hidden_cosine", weight = 0.5, embedding = true, projector = "per_pair" }', 80))
        cls.run_program("run", "features.toml")
        cls.run_folder = cls.root / "runs/student"

    def test_both_terms_are_logged_by_name_and_the_projected_states_come_nearer(self):
        lines = metrics(self.run_folder)
        self.assertEqual(len(lines), 80)
        for line in lines:
            self.assertAlmostEqual(line["loss"], line["kl"] + 0.5 * line["hidden_cosine"], delta=1e-9)
        self.assertLess(lines[-1]["hidden_cosine"], 0.7 * lines[0]["hidden_cosine"])
        self.assertLess(lines[-1]["kl"], lines[0]["kl"])
        rates = [line["lr"] for line in lines]
        self.assertAlmostEqual(rates[0], 2e-3 / 4)  # 512 tokens are 4 steps of 4 sequences of 32
        self.assertEqual(rates[3:60], [2e-3] * 57)
        self.assertAlmostEqual(rates[-1], 1e-4)

    def test_every_scheduler_moves_the_rate_of_a_run(self):
        for name in ("linear", "polynomial", "inverse_sqrt", "constant"):  # cosine and wsd are in the other recipes
            with self.subTest(name):
                text = STUDENT.replace(COSINE, f'scheduler = {{ name = "{name}", peak = 2e-3, warmup_steps = 4 }}')
                (self.root / "scheduler.toml").write_text(text)
                self.run_program("run", "scheduler.toml", "--set", f"output=runs/scheduler/{name}")
                rates = [line["lr"] for line in metrics(self.root / f"runs/scheduler/{name}")]
                self.assertEqual(len(rates), 24)
                for got, expected in zip(rates, (5e-4, 1e-3, 1.5e-3, 2e-3)):  # a straight warm-up, by hand
                    self.assertAlmostEqual(got, expected, delta=1e-12)
                self.assertEqual(rates[3:], sorted(rates[3:], reverse=True))
                self.assertEqual(rates[-1] == 2e-3, name == "constant")

    def test_projectors_are_trained_and_kept_in_checkpoints_but_not_exported(self):
        last, export = tensors(self.run_folder / "checkpoints/iter_0000080/model.safetensors"), tensors(self.run_folder / "export/model.safetensors")
        own = {name: shape for name, (shape, _) in last.items() if name.startswith("feature_losses.")}
        self.assertEqual(sorted(own.values()), [[32], [32], [32, 24], [32, 24]])
        earlier = tensors(self.run_folder / "checkpoints/iter_0000075/model.safetensors")
        for name in own:
            self.assertNotEqual(last[name][1], earlier[name][1])
        self.assertEqual(set(last) - set(own), set(export))
        self.assertEqual(set(export), set(tensors(self.run_folder / "student/model.safetensors")))

    def test_stopped_by_a_signal_or_killed_it_goes_on_to_the_same_bytes(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(signal=number.name):
                output = self.root / f"runs/stopped_by_{number}/student"
                command = self.command("run", "features.toml", "--set", f"output={output.relative_to(self.root)}")
                child = subprocess.Popen(command, cwd=self.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                while child.poll() is None and not (output / "checkpoints/iter_0000010").exists():
                    time.sleep(0.002)
                child.send_signal(number)
                self.assertNotEqual(child.wait(), 0)
                again = self.run_program(*command[1:])
                self.assertIn("goes on after step", again.stderr)
                first, second = tree_digests(self.run_folder), tree_digests(output)
                first.pop("recipe.lock.toml"), second.pop("recipe.lock.toml")  # it names the output folder
                self.assertEqual(first, second)

    def test_a_trace_of_steps_names_their_operations_and_changes_no_byte(self):
        trace = self.root / "trace.json"
        command = self.command("run", "features.toml", "--set", "output=runs/traced/student")
        subprocess.run(command, cwd=self.root, check=True, capture_output=True, env={**os.environ, "ESPALIER_TRACE": str(trace)})
        names = [event["name"] for event in json.loads(trace.read_text())["traceEvents"] if event.get("cat") == "cpu_op"]
        self.assertEqual(names.count("aten::_fused_adamw_"), 2 * 3)  # two groups in each of three steps
        last = "checkpoints/iter_0000080/model.safetensors"
        self.assertEqual(tensors(self.root / "runs/traced/student" / last), tensors(self.run_folder / last))

    def test_every_loss_trains_in_one_recipe(self):
        names = ["kl", "reverse_kl", "jsd", "tvd", "mse", "cosine", "topk_kl", "hidden_cosine", "hidden_mse"]
        text = recipe(", ".join(f'{{ name = "{name}", weight = 0.1 }}' for name in names), 2)
        (self.root / "all.toml").write_text(text.replace("runs/student", "runs/all"))
        self.run_program("run", "all.toml")
        for line in metrics(self.root / "runs/all"):
            for name in names:
                self.assertTrue(math.isfinite(line[name]) and line[name] > 0, (name, line))
            self.assertAlmostEqual(line["topk_kl"], line["kl"], delta=1e-6 * line["kl"])  # k is more than the vocabulary
        kept = tensors(self.root / "runs/all/checkpoints/iter_0000002/model.safetensors")
        self.assertEqual({name for name in kept if name.startswith("feature_losses.")},
                         {f"feature_losses.{i}.{name}.{k}" for i, name in enumerate(["hidden_cosine", "hidden_mse"]) for k in (0, 1)})

    def test_with_dynamic_balance_both_kinds_weigh_the_same_and_a_kill_changes_no_byte(self):
        text = recipe('{ name = "kl" }, { name = "hidden_cosine", map = "uniform", weight = 0.1 }, { name = "hidden_mse", weight = 3, normed = false }', 60)
        text = text.replace("[distill]", '[distill]\nbalance = "dynamic"')
        (self.root / "dynamic.toml").write_text(text.replace("runs/student", "runs/whole/dynamic"))
        whole, killed = self.root / "runs/whole/dynamic", self.root / "runs/killed/dynamic"
        self.run_program("run", "dynamic.toml")
        lines = metrics(whole)
        for line in lines:
            self.assertGreater(line["alpha"], 0)
            self.assertAlmostEqual(line["loss"], 2 * line["kl"], delta=1e-9 * line["loss"])
        self.assertEqual(len({line["alpha"] for line in lines}), len(lines))
        self.assertLess(lines[-1]["hidden_cosine"], 0.9 * lines[0]["hidden_cosine"])
        self.assertLess(lines[-1]["kl"], lines[0]["kl"])

        last = tensors(whole / "checkpoints/iter_0000060/model.safetensors")
        own = {name: shape for name, (shape, _) in last.items() if name.startswith("feature_losses.")}
        self.assertEqual(sorted(own.values()), [[32], [32], [32, 24], [32, 24]])  # each loss shares one map among its pairs
        self.assertEqual(set(last) - set(own), set(tensors(whole / "export/model.safetensors")))

        command = self.command("run", "dynamic.toml", "--set", "output=runs/killed/dynamic")
        for stop in (10, 35):
            child = subprocess.Popen(command, cwd=self.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while child.poll() is None and not (killed / f"checkpoints/iter_{stop:07}").exists():
                time.sleep(0.002)
            child.kill()
            self.assertNotEqual(child.wait(), 0)
        self.assertIn("goes on after step", self.run_program(*command[1:]).stderr)
        first, second = tree_digests(whole), tree_digests(killed)
        first.pop("recipe.lock.toml"), second.pop("recipe.lock.toml")
        self.assertEqual(first, second)
        def timeless(line):
            return {key: value for key, value in line.items() if key not in ("tokens_per_s", "seconds", "peak_rss", "peak_device_bytes")}
        self.assertEqual([timeless(line) for line in lines], [timeless(line) for line in metrics(killed)])

    def test_what_the_models_cannot_give_is_told_by_plan_at_its_place(self):
        def error(losses, key=""):
            (self.root / "bad.toml").write_text(recipe(losses, 2).replace("[distill]", "[distill]\n" + key))
            return self.run_program("plan", "bad.toml", expect=2).stderr

        bad = error('{ name = "kl" }, { name = "hidden_cosine", map = "explicit", pairs = ["3:1"] }, { name = "hidden_mse", map = "explicit", pairs = ["2:4"] }')
        self.assertRegex(bad, r"bad.toml:\d+:\d+: error: \[distill\] loss 'hidden_cosine': a layer that the student does not have; got 3; "
                              r"expected 0 to 2, or -1 for the embedding's output\n")
        self.assertRegex(bad, r"bad.toml:\d+:\d+: error: \[distill\] loss 'hidden_mse': a layer that the teacher does not have; got 4; "
                              r"expected 0 to 3, or -1 for the embedding's output\n2 errors")
        for losses, kind in (('{ name = "kl" }, { name = "cross_entropy" }', "losses on logits"), ('{ name = "hidden_mse" }', "losses on hidden states")):
            self.assertRegex(error(losses, 'balance = "dynamic"'),
                             r"bad.toml:\d+:11: error: \[distill\] balance = \"dynamic\" has one kind of losses only; got " + kind +
                             "; expected one or more of each kind")
        self.assertFalse((self.root / "runs/bad").exists())

    def test_options_that_do_not_fit_are_refused_at_their_place(self):
        (self.root / "bad.toml").write_text(recipe('{ name = "hidden_cosine", pairs = ["0:0"] }, { name = "jsd", beta = 2 }', 2))
        error = self.run_program("plan", "bad.toml", expect=2).stderr
        self.assertRegex(error, r"bad.toml:\d+:\d+: error: \[distill\] pairs of loss 'hidden_cosine' belong to map = \"explicit\"; got map = \"last\"; "
                                r"expected map = \"explicit\" beside them")
        self.assertRegex(error, r"\[distill\] beta of loss 'jsd' is out of range; got 2; expected a real from 0 to 1")


if __name__ == "__main__":
    unittest.main(verbosity=2)
