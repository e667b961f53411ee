# SPDX-License-Identifier: Apache-2.0
"""What the teacher says, computed once: students that share a cache, other seeds, damage, and what plan and inspect say of it."""

import json
import shutil
import subprocess
import unittest

from workspace import STUDENT, Workspace

WHOLE = ["--set", "teacher_cache.k=257"]


class TeacherCache(Workspace):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_program("run", "teacher.toml")
        (cls.root / "narrow.toml").write_text(STUDENT.replace('"runs/student"', '"runs/narrow"').replace("keep   = 24", "keep   = 16"))
        cls.plain = cls.run_program("run", "student.toml", "--set", "output=runs/plain").stderr
        cls.cached = cls.run_program("run", "student.toml", "--set", "output=runs/cached", *WHOLE).stderr

    def distill(self, *arguments):
        return self.run_program("distill", "student.toml", *arguments).stderr

    def caches(self):
        return sorted((self.root / "runs/.cache/teacher").iterdir())

    def shards(self, folder):
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    def cache_of(self, run):
        return self.root / "runs/.cache/teacher" / self.read(f"runs/{run}/teacher_cache.json")["key"]

    def read(self, path):
        return json.loads((self.root / path).read_text())

    def model(self, run):
        return (self.root / "runs" / run / "export/model.safetensors").read_bytes()

    def last_checkpoint(self, run):
        folder = self.root / "runs" / run / "checkpoints"
        return (folder / (folder / "latest").read_text().strip() / "model.safetensors").read_bytes()

    def test_the_student_has_the_bytes_of_one_beside_a_living_teacher(self):
        self.assertNotIn("teacher_cache", self.plain)
        self.assertRegex(self.cached, r"teacher_cache 96 of 96 windows are computed")
        self.assertRegex(self.cached, r"teacher_cache 3,072 tokens, final hidden states, .*; nothing is lost")
        self.assertEqual(self.model("cached"), self.model("plain"))
        evaluation, other = self.read("runs/cached/eval.json"), self.read("runs/plain/eval.json")
        self.assertEqual(evaluation, other)
        report = self.read("runs/cached/teacher_cache.json")
        self.assertTrue(report["same_as_live"])
        self.assertEqual((report["windows"], report["tokens"]), (96, 96 * 32))
        self.assertEqual(report["kl_lost"], {"mean": 0.0, "max": 0.0})
        self.assertIn("nothing to do", self.run_program("run", "student.toml", "--set", "output=runs/cached", *WHOLE).stderr)
        self.assertIn("verified:", self.run_program("verify", "runs/cached").stdout)

    def test_another_student_and_another_learning_rate_use_the_same_cache(self):
        before = self.shards(self.cache_of("cached"))
        log = self.run_program("run", "narrow.toml", *WHOLE).stderr
        self.assertRegex(log, r"teacher_cache +done in")
        self.assertNotIn("windows are computed", log)
        self.assertEqual(self.cache_of("narrow"), self.cache_of("cached"))
        log = self.distill("--set", "output=runs/slow", "--set", "distill.scheduler.peak=1e-4", *WHOLE)
        self.assertNotIn("windows are computed", log)
        self.assertEqual(self.shards(self.cache_of("slow")), before)

    def test_another_seed_computes_what_is_missing_and_has_the_bytes_of_a_living_teacher(self):
        self.distill("--set", "output=runs/seed-live", "--set", "seed=77")
        first = self.shards(self.cache_of("cached"))
        log = self.distill("--set", "output=runs/seed", "--set", "seed=77", *WHOLE)
        self.assertRegex(log, r"teacher_cache [0-9]+ of 96 windows are computed")
        after = self.shards(self.cache_of("seed"))
        self.assertEqual(self.cache_of("seed"), self.cache_of("cached"))
        self.assertEqual({name: after[name] for name in first}, first)
        self.assertEqual(self.last_checkpoint("seed"), self.last_checkpoint("seed-live"))

    def test_plan_predicts_the_bytes_on_disk(self):
        for k, dtype in ((257, "bfloat16"), (9, "float32"), (12, "float16")):
            options = ["--set", f"teacher_cache.k={k}", "--set", f'teacher_cache.dtype="{dtype}"']
            plan = json.loads(self.run_program("plan", "student.toml", "--json", *options).stdout)["teacher_cache"]
            run = f"plan-{k}-{dtype}"
            self.distill("--set", f"output=runs/{run}", *options)
            shards = self.shards(self.cache_of(run))
            self.assertEqual(plan["bytes"], sum(len(data) for data in shards.values()))
            self.assertEqual(plan["bytes"], self.read(f"runs/{run}/teacher_cache.json")["bytes"])
            self.assertEqual((plan["windows"], plan["tokens"], plan["k"], plan["dtype"]), (96, 3072, k, dtype))
        text = self.run_program("plan", "student.toml", "--set", "teacher_cache.k=9").stdout
        self.assertRegex(text, r"teacher_cache: the 9 largest logits in float32 of 3,072 tokens = [0-9,]+ bytes at most\n")

    def test_a_truncated_cache_says_what_was_lost_everywhere(self):
        log = self.run_program("run", "student.toml", "--set", "output=runs/few", "--set", "teacher_cache.k=20").stderr
        self.assertRegex(log, r"largest logits, .*; lost: [0-9.e-]+ nats of KL a token \(at most [0-9.e-]+\), tail mass")
        report = self.read("runs/few/teacher_cache.json")
        self.assertFalse(report["same_as_live"])
        self.assertGreater(report["kl_lost"]["mean"], 0.0)
        self.assertLess(report["kl_lost"]["mean"], report["kl_lost"]["max"])
        self.assertTrue(0.0 < report["tail_mass"]["mean"] < report["tail_mass"]["max"] < 1.0)
        self.assertNotEqual(self.model("few"), self.model("plain"))
        inspected = json.loads(self.run_program("inspect", self.cache_of("few"), "--json").stdout)
        self.assertEqual(inspected["kind"], "teacher cache")
        for key in ("windows", "tokens", "kl_lost", "tail_mass", "form", "bytes"):
            self.assertEqual(inspected[key], report[key], key)
        self.assertEqual(inspected["form"]["teacher_digest"], self.read("runs/few/export/espalier.json")["teacher_digest"])
        run = json.loads(self.run_program("inspect", "runs/few", "--json").stdout)
        self.assertEqual(run["teacher_cache"], report)

    def test_a_damaged_cache_is_told_by_inspect_and_mended_by_the_next_run(self):
        options = ["--set", "teacher_cache.k=7"]
        self.distill("--set", "output=runs/whole", *options)
        folder = self.cache_of("whole")
        shards = self.shards(folder)
        shard = folder / "shard-00000.safetensors"
        data = bytearray(shard.read_bytes())
        data[-1000] ^= 4
        shard.write_bytes(bytes(data))
        told = self.run_program("inspect", folder, expect=1).stderr
        self.assertIn("shard-00000.safetensors: damaged, a window's checksum is another", told)
        log = self.distill("--set", "output=runs/mended", *options)
        self.assertIn("shard-00000.safetensors: damaged; it is removed, and its windows are computed anew", log)
        self.assertEqual(self.shards(folder), shards)
        self.assertEqual(self.last_checkpoint("mended"), self.last_checkpoint("whole"))

    def test_a_cache_that_was_thrown_away_is_computed_again_when_training_goes_on(self):
        options = ["--set", "teacher_cache.k=5", "--set", "output=runs/thrown"]
        self.distill(*options)
        folder, expected = self.cache_of("thrown"), self.last_checkpoint("thrown")
        shards = self.shards(folder)
        shutil.rmtree(folder)
        shutil.rmtree(self.root / "runs/thrown/checkpoints")
        log = self.distill(*options)
        self.assertRegex(log, r"teacher_cache +unchanged, skipped")
        self.assertRegex(log, r"96 of 96 windows are computed")
        self.assertEqual(self.shards(folder), shards)
        self.assertEqual(self.last_checkpoint("thrown"), expected)

    def test_of_two_runs_at_once_one_computes_and_the_other_waits(self):
        runs = [
            subprocess.Popen(
                self.command("distill", "student.toml", "--set", f"output=runs/both{i}", "--set", "teacher_cache.k=11"),
                cwd=self.root, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
            for i in range(2)
        ]
        logs = [run.communicate(timeout=300)[1] for run in runs]
        self.assertEqual([run.returncode for run in runs], [0, 0], logs)
        self.assertEqual(sum("windows are computed" in log for log in logs), 1, logs)
        self.assertEqual(self.last_checkpoint("both0"), self.last_checkpoint("both1"))

    def test_what_a_cache_cannot_serve_is_refused_at_its_place(self):
        def refused(text):
            (self.root / "bad.toml").write_text(text)
            return self.run_program("plan", "bad.toml", expect=2).stderr

        lines = STUDENT.count("\n") + 1
        self.assertIn(
            f"bad.toml:{lines + 1}:5: error: [teacher_cache] k is more than the teacher's vocabulary; got 258; expected 0 (chosen) to 257 (nothing is lost)",
            refused(STUDENT + "[teacher_cache]\nk = 258\n"))
        labels = STUDENT.replace('{ name = "kl", weight = 0.8, temperature = 2.0 }, ', "")
        self.assertIn(
            f"bad.toml:{lines}:1: error: [teacher_cache] serves no loss: none compares with a teacher; expected a loss that does, or no [teacher_cache]",
            refused(labels + "[teacher_cache]\n"))
        states = STUDENT.replace('{ name = "cross_entropy", weight = 0.2 }', '{ name = "hidden_mse" }')
        self.assertIn(
            "error: [distill] loss 'hidden_mse' looks at the teacher's hidden states, which [teacher_cache] does not hold; expected losses on logits, or no [teacher_cache]",
            refused(states + "[teacher_cache]\n"))


if __name__ == "__main__":
    unittest.main()
