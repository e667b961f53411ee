# SPDX-License-Identifier: Apache-2.0
"""Sweeps: arms × seeds as runs of their own, shared work, a fair match, and that nothing stops them for good."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import unittest

from workspace import STUDENT, Workspace, tree_digests

# Two losses on one student: all but the distillation is shared between arms of one seed.
LOSSES = """
[sweep]
seeds = [1, 2]
[[sweep.arm]]
name = "kl"
[[sweep.arm]]
name = "label"
set  = { "distill.losses" = [ { name = "cross_entropy" } ], "distill.scheduler.peak" = 1e-3 }
"""

# Width against depth at equal parameters.
MATCHED = """
[sweep]
seeds = [1, 2]
match = { by = "non_embedding_parameters", tolerance = 0.02 }
[[sweep.arm]]
name  = "depth"
prune = [ { axis = "layers", keep = 3, metric = { name = "loss_drop" } } ]
[[sweep.arm]]
name  = "width"
free  = "ffn"
prune = [ { axis = "hidden", keep = 28, metric = { name = "activation" } }, { axis = "ffn", metric = { name = "activation" } } ]
"""


def text_of(name, table, steps=24, beside="runs"):
    head = STUDENT.replace('"student"', f'"{name}"').replace('"runs/student"', f'"{beside}/{name}"')
    return head.replace("steps        = 24", f"steps        = {steps}") + table


def sweep_digests(folder):
    """What may not differ between two sweeps: all but what names the folder itself, and when it was made."""
    skipped = {"recipe.toml", "recipe.lock.toml", "espalier.json", ".finished.json"}
    return {name: digest for name, digest in tree_digests(folder).items() if name.rpartition("/")[2] not in skipped}


class Sweeps(Workspace):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_program("run", "teacher.toml")
        for name, table in (("losses", LOSSES), ("matched", MATCHED)):
            (cls.root / f"{name}.toml").write_text(text_of(name, table))
        cls.dry = cls.run_program("sweep", "losses.toml", "--dry-run")
        cls.first = cls.run_program("sweep", "losses.toml", "--threads", 1)
        cls.folder = cls.root / "runs/losses"

    def sweep_json(self, name="losses"):
        return json.loads((self.root / "runs" / name / "sweep.json").read_text())

    def write(self, name, table, steps=24, beside="runs"):
        (self.root / f"{name}.toml").write_text(text_of(name, table, steps, beside))
        return f"{name}.toml"

    def bytes_of(self, folder):
        digests = sweep_digests(self.root / folder)
        return {path: digest for path, digest in digests.items() if "/" in path}  # the sweep's own files name it

    def comparison_of(self, folder):
        """comparison.json without names of the folder and without times, which are all that may differ."""
        self.assertTrue((self.root / folder / "report.html").exists())
        comparison = json.loads((self.root / folder / "comparison.json").read_text())
        comparison.pop("title")
        for entry in (*comparison["arms"], *comparison["runs"]):
            entry.pop("seconds")
            entry.pop("folder", None)
        return comparison

    def test_every_arm_and_seed_is_a_run_of_its_own(self):
        sweep = self.sweep_json()
        self.assertEqual([run["name"] for run in sweep["runs"]], ["kl-seed1", "kl-seed2", "label-seed1", "label-seed2"])
        self.assertEqual({run["state"] for run in sweep["runs"]}, {"done"})
        self.assertEqual((sweep["schema"], sweep["baseline"], sweep["arms"], sweep["seeds"]), (1, "kl", ["kl", "label"], [1, 2]))
        self.assertEqual(sweep["teachers"], [{"name": "teacher", "path": "runs/teacher"}])
        self.assertEqual((sweep["match"], sweep["threads"]), (None, 1))
        self.assertEqual([difference["key"] for difference in sweep["differences"]], ["distill.losses", "distill.scheduler.peak"])
        for run in sweep["runs"]:
            for name in ("recipe.toml", "plan.json", "eval.json", "export/config.json", "log.txt"):
                self.assertTrue((self.folder / run["folder"] / name).exists(), name)
        self.assertFalse((self.folder / ".cache").exists())

    def test_a_run_is_a_complete_recipe(self):
        again = self.run_program("run", "runs/losses/label-seed2/recipe.toml", "--threads", 1)
        self.assertIn("nothing to do", again.stderr)
        self.run_program("verify", "runs/losses/label-seed2")

    def test_a_dry_run_says_what_is_shared_and_does_nothing(self):
        self.assertIn("2 arms × 2 seeds = 4 runs in runs/losses", self.dry.stdout)
        self.assertRegex(self.dry.stdout, r"slice +4 +2\n")
        self.assertRegex(self.dry.stdout, r"score \(each axis\) +12 +6\n")
        self.assertRegex(self.dry.stdout, r"eval of the teacher +4 +1\n")
        self.assertRegex(self.dry.stdout, r"label-seed1 +3.07 k ")
        again = json.loads(self.run_program("sweep", "losses.toml", "--dry-run", "--json").stdout)
        # 24 steps of 4 sequences of 32 tokens.
        self.assertEqual(again["runs"][0]["cost"]["training_tokens"], 24 * 4 * 32)
        self.run_program("sweep", self.write("dry", LOSSES), "--dry-run")
        self.assertFalse((self.root / "runs/dry").exists())

    def test_arms_of_one_seed_share_the_student_and_have_the_bytes_of_a_run_alone(self):
        log = (self.folder / "label-seed1/log.txt").read_text()
        for stage in ("plan", "slice", "verify"):
            self.assertRegex(log, rf"{stage} +taken over from .*kl-seed1")
        shared = [self.folder / run / "student/model.safetensors" for run in ("kl-seed1", "label-seed1", "kl-seed2")]
        self.assertEqual(shared[0].stat().st_ino, shared[1].stat().st_ino)
        self.assertNotEqual(shared[0].stat().st_ino, shared[2].stat().st_ino)
        # The same recipe where there is nothing to share with.
        alone = self.root / "runs/alone/label-seed1"
        self.run_program("run", "runs/losses/label-seed1/recipe.toml", "--set", "output=runs/alone/label-seed1", "--threads", 1)
        expected, got = tree_digests(alone), tree_digests(self.folder / "label-seed1")
        for digests in (expected, got):
            digests.pop("recipe.lock.toml")  # names the folder
        self.assertEqual(got, expected)

    def test_a_correction_is_trained_once_for_all_arms(self):
        table = "[correct]\nsteps = 6\nglobal_batch = 2\neval_every = 3\nlog_every = 1\nsave_every = 2\n" + LOSSES.replace("[1, 2]", "[1]")
        self.run_program("sweep", self.write("corrected", table), "--threads", 1, "--jobs", 2)
        runs = [self.root / "runs/corrected" / name for name in ("kl-seed1", "label-seed1")]
        taken = [re.findall(r"(\w+) +taken over", (run / "log.txt").read_text()) for run in runs]
        # Whichever comes first; the other waits for it.
        self.assertEqual(sorted(taken[0] + taken[1]), ["correct", "plan", "slice", "verify"])
        self.assertEqual(*((run / "teacher/model.safetensors").stat().st_ino for run in runs))
        for run in runs:
            alone = f"runs/lone/{run.name}"
            self.run_program("run", run.relative_to(self.root) / "recipe.toml", "--set", f"output={alone}", "--threads", 1)
            shutil.rmtree(self.root / "runs/lone/.cache")
            expected, got = tree_digests(self.root / alone), tree_digests(run)
            for digests in (expected, got):
                digests.pop("recipe.lock.toml")  # names the folder
            self.assertEqual(got, expected)
            self.assertTrue(any("checkpoints.correct" in name for name in got))
            steps = [json.loads(line)["step"] for line in (run / "metrics.correct.jsonl").read_text().splitlines()]
            self.assertEqual(steps, [1, 2, 3, 4, 5, 6])

    def test_what_was_shared_and_then_damaged_is_made_again(self):
        self.run_program("prune", "student.toml", "--set", "output=runs/maker/one")
        made = self.root / "runs/maker/one/student/model.safetensors"
        expected = made.read_bytes()
        made.write_bytes(expected[:-1] + bytes([expected[-1] ^ 1]))
        again = self.run_program("prune", "student.toml", "--set", "output=runs/maker/two")
        self.assertRegex(again.stderr, r"slice +.*runs/maker/one does not hold what it says it does; made again")
        self.assertEqual((self.root / "runs/maker/two/student/model.safetensors").read_bytes(), expected)
        # It was the first that said so, and the second that now holds it.
        third = self.run_program("prune", "student.toml", "--set", "output=runs/maker/three")
        self.assertRegex(third.stderr, r"slice +taken over from .*runs/maker/two")

    def test_a_folder_that_cannot_be_written_fails_its_run_alone(self):
        recipe = self.write("blocked", LOSSES.replace("[1, 2]", "[1]"))
        (self.root / "runs/blocked").mkdir()
        (self.root / "runs/blocked/kl-seed1").write_text("a file")
        failed = self.run_program("sweep", recipe, "--threads", 1, expect=1)
        self.assertRegex(failed.stderr, r"kl-seed1: .*runs/blocked/kl-seed1: cannot")
        self.assertEqual([run["state"] for run in self.sweep_json("blocked")["runs"]], ["failed", "done"])

    def test_a_second_call_does_nothing(self):
        before = {path: path.stat().st_mtime_ns for path in self.folder.rglob("*") if path.is_file() and path.name not in ("sweep.json", ".lock")}
        began = time.monotonic()
        again = self.run_program("sweep", "losses.toml")
        self.assertIn("nothing to do, every run is up to date", again.stderr)
        self.assertLess(time.monotonic() - began, 20)
        after = {path: path.stat().st_mtime_ns for path in self.folder.rglob("*") if path.is_file() and path.name not in ("sweep.json", ".lock")}
        self.assertEqual({k: v for k, v in before.items() if after.get(k) != v and k.name not in ("comparison.json", "report.html")}, {})

    def test_runs_at_once_give_the_same_bytes(self):
        recipe = self.write("jobs", LOSSES, beside="apart")  # another cache: nothing is there to be taken over
        done = self.run_program("sweep", recipe, "--jobs", 2, "--threads", 1)
        self.assertIn("(4 of 4)", done.stderr)
        self.assertEqual(self.bytes_of("apart/jobs"), self.bytes_of("runs/losses"))

    def test_a_killed_sweep_goes_on(self):
        recipe = self.write("killed", LOSSES, beside="killed")
        for moment in (0.7, 2.0, 3.5):
            child = subprocess.Popen(self.command("sweep", recipe, "--threads", 1, "--jobs", 2), cwd=self.root,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(moment)
            child.send_signal(signal.SIGKILL)
            child.wait()
        self.run_program("sweep", recipe, "--threads", 1)
        self.assertEqual({run["state"] for run in json.loads((self.root / "killed/killed/sweep.json").read_text())["runs"]}, {"done"})
        self.assertEqual(self.bytes_of("killed/killed"), self.bytes_of("runs/losses"))
        self.assertEqual(self.comparison_of("killed/killed"), self.comparison_of("runs/losses"))

    def test_arms_that_begin_as_one_model_are_judged_at_the_end_alone(self):
        comparison = json.loads((self.folder / "comparison.json").read_text())
        self.assertEqual([(v["a"], v["b"], v["moment"]) for v in comparison["verdicts"]], [("kl", "label", "after")])
        self.assertEqual(comparison["arms"][0]["before"], comparison["arms"][1]["before"])

    def test_speed_is_measured_of_teacher_and_arms_in_one_run_and_kept(self):
        self.run_program("sweep", self.write("speed", LOSSES.replace("[1, 2]", "[1]")), "--threads", 1)
        compare = ("compare", "runs/speed", "--json")
        options = ("--speed", "--repeats", 2, "--prompt-tokens", 8, "--new-tokens", 4, "--threads", 1)
        measured = json.loads(self.run_program(*compare, *options).stdout)
        speed = json.loads((self.root / "runs/speed/speed.json").read_text())
        self.assertEqual([model["name"] for model in speed["models"]], ["teacher:teacher", "kl", "label"])
        self.assertEqual(speed["protocol"]["prompt_tokens"], 8)
        for entry, model in zip((measured["teachers"][0], *measured["arms"]), speed["models"], strict=True):
            for number in ("time_to_first_token_ms", "prefill_tokens_per_s", "decode_tokens_per_s", "peak_bytes"):
                self.assertGreater(entry["speed"][number], 0)
                self.assertEqual(entry["speed"][number], model[number])
        self.assertEqual(json.loads(self.run_program(*compare).stdout), measured)
        self.assertIn("time_to_first_token_ms", (self.root / "runs/speed/report.html").read_text())

    def test_a_distillation_that_another_sweep_has_done_is_taken_over(self):
        recipe = self.write("later", LOSSES.replace('name = "label"', 'name = "other"'))
        self.run_program("sweep", recipe, "--threads", 1)
        for arm, maker in (("kl", "kl"), ("other", "label")):
            self.assertRegex((self.root / f"runs/later/{arm}-seed2/log.txt").read_text(), rf"distill +taken over from runs/losses/{maker}-seed2")
        expected = {name.replace("label-", "other-"): digest for name, digest in self.bytes_of("runs/losses").items()}
        self.assertEqual(self.bytes_of("runs/later"), expected)
        # What a run cost stays what it cost the one that did it.
        seconds = [json.loads((self.root / f"runs/{sweep}/kl-seed1/timings.json").read_text())["distill"] for sweep in ("losses", "later")]
        self.assertEqual(*seconds)

    def test_a_signal_stops_the_runs_where_they_can_go_on(self):
        recipe = self.write("stopped", LOSSES, steps=4000)
        child = subprocess.Popen(self.command("sweep", recipe, "--threads", 1), cwd=self.root, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        run = self.root / "runs/stopped/kl-seed1"
        deadline = time.monotonic() + 60
        while not (run / "metrics.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        _, told = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 1, told)
        self.assertIn("run the same command again to go on", told)
        self.assertEqual({run["state"] for run in self.sweep_json("stopped")["runs"]}, {"pending"})
        self.assertTrue((run / "checkpoints/latest").exists())
        self.assertFalse((run / ".output").exists())

    def test_a_run_that_fails_is_named_and_the_others_are_done(self):
        # A folder where the second arm wants to write a file.
        recipe = self.write("failing", LOSSES)
        blocked = self.root / "runs/failing/label-seed1/eval.json"
        blocked.mkdir(parents=True)
        failed = self.run_program("sweep", recipe, "--threads", 1, expect=1)
        self.assertIn("1 of 4 runs failed", failed.stderr)
        self.assertRegex(failed.stderr, r"label-seed1: .*eval.json")
        states = {run["name"]: run["state"] for run in self.sweep_json("failing")["runs"]}
        self.assertEqual(states, {"kl-seed1": "done", "kl-seed2": "done", "label-seed1": "failed", "label-seed2": "done"})
        self.assertIn("eval.json", next(run["error"] for run in self.sweep_json("failing")["runs"] if run["state"] == "failed"))
        blocked.rmdir()
        self.assertIn("label-seed1", self.run_program("sweep", recipe, "--threads", 1).stderr)
        self.assertEqual({run["state"] for run in self.sweep_json("failing")["runs"]}, {"done"})

    def test_a_free_size_is_solved_for(self):
        self.run_program("sweep", "matched.toml", "--threads", 1)
        match = self.sweep_json("matched")["match"]
        # By hand: a layer of the teacher has attention 2·32·32 + 2·16·32, an MLP of 3·32·48 and two norms of 32; depth
        # keeps three, and the last norm: 23,264. Width keeps 28 channels: 4 · (28·96 + 3·28·keep + 56) + 28, which is
        # 23,100 with 36 and 23,436 with 37.
        self.assertEqual((match["by"], match["target"]), ("non_embedding_parameters", 3 * (3072 + 4608 + 64) + 32))
        plan = json.loads((self.root / "runs/matched/width-seed1/plan.json").read_text())
        keep = len(plan["selections"]["ffn"][0])
        value = 4 * (28 * 96 + 3 * 28 * keep + 56) + 28
        self.assertEqual(match["values"], {"depth": match["target"], "width": value})
        for other in (keep - 1, keep + 1):
            self.assertLessEqual(abs(value - match["target"]), abs(4 * (28 * 96 + 3 * 28 * other + 56) + 28 - match["target"]))

    def test_arms_that_cannot_match_are_refused_with_the_nearest_sizes(self):
        recipe = self.write("far", MATCHED.replace("keep = 28", "keep = 8"))
        refused = self.run_program("sweep", recipe, "--dry-run", expect=2)
        # 4 · (8·96 + 3·8·48 + 16) + 8 with every ffn unit.
        self.assertIn("far.toml:47:9: error: [sweep] no ffn of arm 'width' matches in non_embedding_parameters; got 7,752 with "
                      "ffn 48; expected 22,799 to 23,729", refused.stderr)

    def test_equal_arms_are_refused_and_one_run_is_no_sweep(self):
        recipe = self.write("equal", LOSSES.replace("distill.losses", "distill.teacher_config").split("set")[0])
        self.assertIn("error: [sweep] arm 'label' is the same recipe as arm 'kl'; expected arms that differ in something",
                      self.run_program("sweep", recipe, expect=2).stderr)
        self.assertIn("expected espalier sweep losses.toml", self.run_program("run", "losses.toml", expect=2).stderr)
        self.assertIn("or for a single run: espalier run student.toml", self.run_program("sweep", "student.toml", expect=2).stderr)

    def test_memory_that_is_too_little_is_refused_with_what_is_enough(self):
        refused = self.run_program("sweep", self.write("small", LOSSES), "--memory", "1MB", expect=2)
        self.assertRegex(refused.stderr, r"--memory: too little for the run kl-seed1; got 1.00 MB; expected at least \d")

    def test_several_teachers_are_an_axis_of_the_sweep(self):
        shutil.copytree(self.root / "runs/teacher/export", self.root / "models/copy")
        table = LOSSES.replace("[sweep]", '[sweep]\nteachers = ["runs/teacher", { path = "models/copy", name = "twin" }]').replace("[1, 2]", "[1]")
        self.run_program("sweep", self.write("teachers", table), "--threads", 1)
        names = [run["name"] for run in self.sweep_json("teachers")["runs"]]
        self.assertEqual(names, ["kl-teacher-seed1", "kl-twin-seed1", "label-teacher-seed1", "label-twin-seed1"])
        digests = [tree_digests(self.root / "runs/teachers" / name)["student/model.safetensors"] for name in names]
        self.assertEqual(len(set(digests)), 1)


if __name__ == "__main__":
    os.environ.pop("OMP_NUM_THREADS", None)
    unittest.main(verbosity=2)
