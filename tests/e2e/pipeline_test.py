# SPDX-License-Identifier: Apache-2.0
"""The whole pipeline: what it leaves, what it skips, and that the same recipe gives the same bytes."""

import json
import random
import signal
import struct
import subprocess
import time
import unittest

from workspace import SOURCE, Workspace, tree_digests


class Pipeline(Workspace):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_program("run", "teacher.toml")
        cls.first = cls.run_program("run", "student.toml")
        cls.run_folder = cls.root / "runs/student"

    def test_a_run_leaves_what_the_contract_names(self):
        names = {path.name for path in self.run_folder.iterdir()}
        for name in "recipe.toml recipe.lock.toml plan.json scores student checkpoints export eval.json metrics.jsonl tensorboard log.txt".split():
            self.assertIn(name, names)
        plan = json.loads((self.run_folder / "plan.json").read_text())
        self.assertEqual(plan["student"]["layers"] if isinstance(plan["student"]["layers"], int) else len(plan["student"]["layers"]), 3)
        self.assertEqual(len(plan["selections"]["hidden"]), 24)
        self.assertEqual([len(kept) for kept in plan["selections"]["ffn"]], [24, 24, 24])
        evaluation = json.loads((self.run_folder / "eval.json").read_text())
        for key in ("model", "nll", "perplexity", "bits_per_byte", "tokens", "documents", "protocol", "tasks"):
            self.assertIn(key, evaluation)
        lines = [json.loads(line) for line in (self.run_folder / "metrics.jsonl").read_text().splitlines()]
        self.assertEqual([line["step"] for line in lines], list(range(1, 25)))
        for key in ("tokens", "lr", "kl", "cross_entropy", "grad_norm", "tokens_per_s", "seconds", "peak_rss"):
            self.assertIn(key, lines[-1])

    def test_a_finished_run_says_so_and_does_nothing(self):
        before = {path: path.stat().st_mtime_ns for path in self.run_folder.rglob("*.safetensors")}
        again = self.run_program("run", "student.toml")
        self.assertIn("nothing to do", again.stderr)
        self.assertEqual(before, {path: path.stat().st_mtime_ns for path in self.run_folder.rglob("*.safetensors")})

    def test_the_same_recipe_gives_the_same_bytes(self):
        self.run_program("run", "student.toml", "--set", "output=runs/again/student")
        self.assert_same(self.run_folder, self.root / "runs/again/student")

    def assert_same(self, first, second):
        a, b = tree_digests(first), tree_digests(second)
        # The lock names the output folder itself.
        a.pop("recipe.lock.toml"), b.pop("recipe.lock.toml")
        self.assertEqual(a, b)

    def test_the_lock_reproduces_the_run(self):
        self.run_program("run", self.run_folder / "recipe.lock.toml", "--set", "output=runs/locked/student")
        a, b = tree_digests(self.run_folder), tree_digests(self.root / "runs/locked/student")
        for name in ("recipe.toml", "recipe.lock.toml"):
            a.pop(name), b.pop(name)
        self.assertEqual(a, b)

    def test_a_lock_with_another_digest_is_refused(self):
        text = (self.run_folder / "recipe.lock.toml").read_text()
        head, _, digest = text.partition('"teacher" = "')
        (self.root / "forged.toml").write_text(head + '"teacher" = "' + "0" * 64 + digest[64:])
        refused = self.run_program("run", "forged.toml", "--set", "output=runs/forged", expect=2)
        self.assertIn("[lock] teacher is not what was locked", refused.stderr)

    def test_another_target_uses_the_saved_scores(self):
        self.run_program("prune", "student.toml", "--set", "output=runs/other/student")
        other = self.run_program("prune", "student.toml", "--set", "output=runs/other/student", "--set", "prune.0.keep=16")
        self.assertRegex(other.stderr, r"score +unchanged, skipped")
        self.assertRegex(other.stderr, r"plan +choose")
        self.assertEqual(len(json.loads((self.root / "runs/other/student/plan.json").read_text())["selections"]["hidden"]), 16)

    def test_verify_proves_the_run_and_finds_a_changed_tensor(self):
        self.assertIn("verified:", self.run_program("verify", "runs/student").stdout)
        self.run_program("prune", "student.toml", "--set", "output=runs/broken/student")
        path = self.root / "runs/broken/student/student/model.safetensors"
        data = bytearray(path.read_bytes())
        data[-3] ^= 0x40
        path.write_bytes(data)
        broken = self.run_program("verify", "runs/broken/student", expect=1)
        self.assertIn("lm_head.weight is not the teacher's kept part", broken.stderr)

    def test_eval_measures_non_overlapping_windows(self):
        tokens = [(7 * i) % 257 for i in range(64 * 5 + 9)]
        (self.root / "tokens.bin").write_bytes(struct.pack(f"<{len(tokens)}H", *tokens))
        done = self.run_program("eval", "runs/student", "--data", "tokens.bin", "--token-type", "uint16", "--seq-length", "64", "--json",
                                "--dump", "dump.safetensors")
        result = json.loads(done.stdout)
        self.assertEqual(result["tokens"], 5 * 63)
        self.assertIn("nll", json.loads(self.run_program("inspect", "dump.safetensors", "--json").stdout)["tensors"][0]["name"] + "nll")

    def test_a_run_killed_at_twenty_moments_ends_with_the_same_files(self):
        draw = random.Random(3)
        output = "runs/killed/student"
        started = time.monotonic()
        self.run_program("run", "student.toml", "--set", "output=runs/timed/student")
        whole = time.monotonic() - started
        kills = 0
        while kills < 20:
            child = subprocess.Popen(self.command("run", "student.toml", "--set", f"output={output}"), cwd=self.root,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                child.wait(timeout=draw.uniform(0.1, 1.0) * whole)
                # It came to its end between two kills: from here on it is killed while it starts again from nothing.
                output = f"runs/killed{kills}/student"
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL if kills % 4 else signal.SIGTERM)
                child.wait()
                kills += 1
        self.run_program("run", "student.toml", "--set", f"output={output}")
        for folder in sorted((self.root / "runs").glob("killed*/student")):
            self.run_program("run", "student.toml", "--set", f"output={folder.relative_to(self.root)}")
            self.assert_same(self.run_folder, folder)


if __name__ == "__main__":
    unittest.main(verbosity=2)
