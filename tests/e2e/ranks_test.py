# SPDX-License-Identifier: Apache-2.0
"""The pipeline on several ranks under mpirun: the losses of one rank, the same bytes again, going on after signals, kills and
failures on another number of ranks, and what is refused."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import unittest

from search_test import SEARCH
from workspace import PROGRAM, STUDENT, Workspace, tree_digests

# Outputs of their own folder: runs beside each other take a training over instead of doing it again.
LONG = ["--set", "distill.steps=300", "--set", "distill.save_every=20", "--set", "distill.eval_every=0"]


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def timeless(folder):
    return [{key: value for key, value in line.items() if key not in ("tokens_per_s", "seconds", "peak_rss", "peak_device_bytes")} for line in metrics(folder)]


def ranks_of(launcher):
    """Process ids of the launcher's ranks by rank."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        try:
            parent = int(entry.joinpath("stat").read_text().rsplit(")", 1)[1].split()[1])
            variables = entry.joinpath("environ").read_bytes().split(b"\0") if parent == launcher else []
        except (OSError, IndexError, ValueError):
            continue
        for variable in variables:
            if variable.startswith(b"OMPI_COMM_WORLD_RANK="):
                found[int(variable.split(b"=")[1])] = int(entry.name)
    return found


def is_running(process):
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Ranks(Workspace):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_program("run", "teacher.toml")
        cls.on_ranks(2, "run", "student.toml", *LONG, "--set", "output=runs/whole/student")

    @classmethod
    def command_on(cls, ranks, *arguments):
        return [os.environ["MPIRUN"], "-n", str(ranks), *cls.command(*arguments, "--threads", "1")]

    @classmethod
    def on_ranks(cls, ranks, *arguments, expect=0):
        done = subprocess.run(cls.command_on(ranks, *arguments), cwd=cls.root, capture_output=True, text=True, timeout=300)
        if done.returncode != expect:
            raise AssertionError(f"{arguments} ended with {done.returncode}, not {expect}:\n{done.stdout}\n{done.stderr}")
        return done

    @classmethod
    def errors(cls, done):
        return [line for line in done.stderr.splitlines() if "error: " in line]

    def disturbed(self, run, ranks, moment, act):
        """Starts the long distillation, and acts on its ranks' processes past a step, or when a moment has come. Exit code and stderr."""
        launcher = subprocess.Popen(self.command_on(ranks, "distill", "student.toml", *LONG, "--set", f"output=runs/{run}/student"),
                                    cwd=self.root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        log = self.root / "runs" / run / "student/metrics.jsonl"
        come = moment if callable(moment) else lambda: metrics_step(log) >= moment
        deadline = time.monotonic() + 120
        while launcher.poll() is None and time.monotonic() < deadline:
            if come():
                break
            time.sleep(0.001)
        processes = ranks_of(launcher.pid)
        self.assertEqual(sorted(processes), list(range(ranks)))
        act(processes)
        error = launcher.communicate(timeout=60)[1]
        for process in processes.values():
            self.assertFalse(is_running(process))
        return launcher.returncode, error

    def finish(self, run, ranks=2):
        return self.on_ranks(ranks, "run", "student.toml", *LONG, "--set", f"output=runs/{run}/student").stderr

    def last_step(self, run):
        return int((self.root / "runs" / run / "student/checkpoints/latest").read_text().strip()[5:])

    def same_as_whole(self, run):
        got, expected = (tree_digests(self.root / "runs" / name / "student") for name in (run, "whole"))
        self.assertEqual([name for name in expected if got.get(name) != expected[name] and not name.endswith("recipe.lock.toml")], [])
        self.assertEqual(timeless(self.root / "runs" / run / "student"), timeless(self.root / "runs/whole/student"))

    def close_to(self, run, reference, tolerance):
        got, expected = metrics(self.root / "runs" / run), metrics(self.root / "runs" / reference)
        self.assertEqual([line["step"] for line in got], [line["step"] for line in expected])
        for ours, theirs in zip(got, expected):
            for key in ("loss", "grad_norm"):
                self.assertLessEqual(abs(ours[key] - theirs[key]), tolerance * abs(theirs[key]), (ours["step"], key))

    def test_two_ranks_have_the_losses_of_one_in_every_kind_of_training(self):
        # Only the order of sums differs: 1e-7 at first, which 24 steps of a student this small make 1e-5 at most; checked at 1e-4.
        kinds = {
            "distill": (STUDENT, []),
            "features": (STUDENT.replace('{ name = "cross_entropy", weight = 0.2 }', '{ name = "hidden_mse" }'), []),
            "cache": (STUDENT, ["--set", "teacher_cache.k=20"]),
        }
        for kind, (text, options) in kinds.items():
            with self.subTest(kind):
                (self.root / f"{kind}.toml").write_text(text)
                one = self.run_program("run", f"{kind}.toml", "--threads", "1", *options, "--set", f"output=runs/{kind}-one")
                two = self.on_ranks(2, "run", f"{kind}.toml", *options, "--set", f"output=runs/{kind}-two")
                self.assertIn("2 ranks, 1 threads each", two.stderr)
                self.assertNotIn("ranks", one.stderr)
                self.close_to(f"{kind}-two", f"{kind}-one", 1e-4)
                a, b = (json.loads((self.root / f"runs/{kind}-{n}/eval.json").read_text()) for n in ("one", "two"))
                self.assertAlmostEqual(a["student"]["nll"] if "student" in a else a["nll"], b["student"]["nll"] if "student" in b else b["nll"], places=4)
                self.assertIn("verified:", self.run_program("verify", f"runs/{kind}-two").stdout)

    def test_a_teacher_trains_on_three_ranks_as_on_one(self):
        options = ["--set", "correct.global_batch=6"]
        self.run_program("run", "teacher.toml", "--threads", "1", *options, "--set", "output=runs/teacher-one")
        self.on_ranks(3, "run", "teacher.toml", *options, "--set", "output=runs/teacher-three")
        self.close_to("teacher-three", "teacher-one", 1e-4)
        self.assertTrue((self.root / "runs/teacher-three/checkpoints/iter_0000024/optimizer-00003-of-00003.safetensors").exists())

    def test_a_search_on_ranks_finds_what_one_rank_finds(self):
        (self.root / "search.toml").write_text(SEARCH.replace("micro_batch  = 4", "micro_batch  = 2").replace("[3_072, 3_072, 6_144]", "[1_024, 1_024]"))
        self.run_program("run", "search.toml", "--threads", "1", "--set", "output=runs/search-one")
        self.on_ranks(2, "run", "search.toml", "--set", "output=runs/search-two")
        one, two = (json.loads((self.root / f"runs/search-{n}/plan.json").read_text()) for n in ("one", "two"))
        self.assertEqual(one["student"], two["student"])
        self.close_to("search-two", "search-one", 1e-4)

    def test_the_same_command_ends_with_the_same_bytes(self):
        self.finish("again")
        self.same_as_whole("again")
        self.assertIn("nothing to do", self.finish("again"))
        self.assertIn("nothing to do", self.finish("again", ranks=1))

    def test_a_rank_that_is_killed_is_named_and_the_same_command_goes_on(self):
        def unfinished():
            return set((self.root / "runs/killed/student/checkpoints").glob(".iter_*"))

        for rank, moment in ((1, 30), (0, 65), (1, "saving"), (0, "saving"), (1, 190)):
            left = unfinished()
            code, error = self.disturbed("killed", 2, (lambda: unfinished() - left) if moment == "saving" else moment, lambda processes: os.kill(processes[rank], signal.SIGKILL))
            self.assertNotEqual(code, 0)
            self.assertRegex(error, rf"error: rank {rank} of 2 is lost \(")
            self.assertLess(self.last_step("killed"), 300)
        self.finish("killed")
        self.same_as_whole("killed")

    def test_a_signal_to_one_rank_stops_all_after_one_step(self):
        code, error = self.disturbed("signal", 2, 45, lambda processes: os.kill(processes[1], signal.SIGTERM))
        self.assertEqual(code, 1)
        told = re.findall(r"distill: stopped by a signal after step (\d+) of 300; the same command goes on from there", error)
        self.assertEqual(len(told), 1, error)
        self.assertEqual(self.last_step("signal"), int(told[0]))
        self.finish("signal")
        self.same_as_whole("signal")

    def test_a_run_goes_on_on_another_number_of_ranks(self):
        stop = lambda processes: [os.kill(process, signal.SIGTERM) for process in processes.values()]
        run = "changing"
        code, error = self.disturbed(run, 2, 45, stop)
        self.assertEqual(code, 1, error)
        first = self.last_step(run)
        self.assertIn(f"goes on after step {first} of 300", error + self.stopped_alone(run, first + 45))
        second = self.last_step(run)
        self.assertGreater(second, first)
        self.assertTrue((self.root / "runs" / run / f"student/checkpoints/iter_{second:07}/optimizer.safetensors").exists())
        log = self.finish(run)
        self.assertIn(f"goes on after step {second} of 300", log)
        # Three hundred steps from sums in another order: still the same course, no longer the same digits.
        self.close_to(f"{run}/student", "whole/student", 0.02)

    def stopped_alone(self, run, step):
        process = subprocess.Popen(self.command("distill", "student.toml", *LONG, "--threads", "1", "--set", f"output=runs/{run}/student"),
                                   cwd=self.root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while process.poll() is None and metrics_step(self.root / "runs" / run / "student/metrics.jsonl") < step:
            time.sleep(0.002)
        process.send_signal(signal.SIGTERM)
        error = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 1, error)
        return error

    def test_a_rank_whose_disk_fails_is_named_by_rank_0(self):
        self.on_ranks(2, "prune", "student.toml", "--set", "output=runs/disk")
        command = self.command("distill", "student.toml", "--threads", "1", "--set", "output=runs/disk")
        limited = ["bash", "-c", 'ulimit -f 40; exec "$@"', "bash", *command]
        # Without shared memory, whose file has a size, too.
        done = subprocess.run([os.environ["MPIRUN"], "--mca", "btl", "self,tcp", "-n", "1", *command, ":", "-n", "1", *limited], cwd=self.root, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(len(self.errors(done)), 1, done.stderr)
        self.assertRegex(done.stderr, r"error: rank 1 of 2: .*optimizer-00002-of-00002.safetensors: cannot ")
        self.on_ranks(2, "distill", "student.toml", "--set", "output=runs/disk")

    def test_mistakes_are_told_once_and_at_their_place(self):
        done = self.on_ranks(3, "run", "student.toml", expect=2)
        line = STUDENT.splitlines().index("global_batch = 4") + 1
        self.assertEqual(self.errors(done), [
            f"student.toml:{line}:16: error: [distill] global_batch does not divide over 3 ranks in micro-batches of 2; got 4; expected a multiple of 6 (nearest: 6)"])
        done = self.on_ranks(2, "run", "student.toml", "--set", "distill.global_batch=6", expect=2)
        self.assertIn("[distill] global_batch does not divide over 2 ranks in micro-batches of 2; got 6; expected a multiple of 4 (nearest: 4, 8)", done.stderr)
        for verb in ("sweep", "plan"):
            done = self.on_ranks(2, verb, "student.toml", expect=2)
            self.assertEqual(self.errors(done), [f"error: espalier {verb}: works in one process; got 2 processes from mpirun; expected espalier run, score, prune or distill there"])
        self.assertEqual(self.on_ranks(2, "run", "student.toml", "--dry-run").stdout.count("train the student"), 1)

    def with_environment(self, program=PROGRAM, **variables):
        environment = {**os.environ, **variables, "ESPALIER_PLUGIN_PATH": str(PROGRAM.parent / "plugins")}
        environment.pop("ESPALIER_MODULE_PATH", None)
        done = subprocess.run([program, "run", "student.toml"], cwd=self.root, env=environment, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr.strip()

    def test_launchers_that_cannot_work_are_told(self):
        torchrun = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
        self.assertEqual(self.with_environment(**torchrun), (2,
            "error: --device cpu: ranks on the CPU speak MPI, which torchrun does not start; got 2 ranks from torchrun; expected mpirun -n 2 "
            "espalier … or srun -n 2 espalier …"))
        self.assertEqual(self.with_environment(RANK="1"), (1,
            "error: environment: RANK is set without WORLD_SIZE; expected both of them, as torchrun sets them"))
        # A program without its modules: the same file elsewhere.
        alone = self.root / "alone" / "espalier"
        alone.parent.mkdir()
        shutil.copy(PROGRAM, alone)
        mpirun = {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "0"}
        code, error = self.with_environment(program=alone, **mpirun)
        self.assertEqual(code, 1)
        self.assertTrue(error.startswith("error: several ranks need the module espalier_mpi, which is not there; expected it (a build where an MPI library "
                                         f"is installed, such as libopenmpi-dev) in one of\n         {alone.parent}/lib\n"), error)


def metrics_step(path):
    lines = path.read_text().splitlines() if path.exists() else []
    found = re.search(r'"step":(\d+)', lines[-1]) if lines else None
    return int(found[1]) if found else 0


if __name__ == "__main__":
    unittest.main()
