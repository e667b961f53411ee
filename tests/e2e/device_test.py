# SPDX-License-Identifier: Apache-2.0
"""What a GPU must prove, end to end: it learns what float32 on the CPU learns, and what transformers learns; its bytes repeat, after kills
too; it scores, cuts, verifies, evaluates and generates as the CPU does; it takes the memory that was planned.

    device_test.py --device cuda | cpu | pretended

So that all of it is tested everywhere, the same script runs with a GPU that is none (tests/support/pretended_gpu), and with cpu, where the
CPU is compared with itself on another number of threads.
"""

import argparse
import collections
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

import device_recipes as recipes
from export_test import loadable
from workspace import SOURCE, Workspace, tree_digests

PYTHON, REFERENCE = SOURCE / ".venv/bin/python", SOURCE / "tests/e2e/device_reference.py"

# How far results may be apart, as shares unless something else is said. bfloat16 has 8 bits of mantissa: one rounding moves a number by up
# to 2^-9, 0.2 %. A layer has about ten roundings in a row on its way, which wander: a loss is off by one or two roundings, and a mean over
# ten steps by less, until the weights themselves have gone apart. Float32 has 2^-24, which two hundred steps of a small model blow up a
# thousandfold.
Bounds = collections.namedtuple("Bounds", "step curve first nll scores kept logits evaluation values")
NARROW = Bounds(step=0.05, curve=0.02, first=0.003, nll=0.01, scores=0.99, kept=0.95, logits=0.10, evaluation=0.001, values=0.005)
EXACT = Bounds(step=0.01, curve=0.003, first=1e-5, nll=0.002, scores=0.9999, kept=1.0, logits=1e-4, evaluation=2e-5, values=1e-4)

LOSSES = ("kl", "cross_entropy", "reverse_kl", "jsd", "tvd", "mse", "cosine", "topk_kl", "hidden_mse", "hidden_cosine")

options = argparse.Namespace(device="cpu")


def ranks(numbers):
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    result = [0.0] * len(numbers)
    for rank, index in enumerate(order):
        result[index] = float(rank)
    return result


def rank_correlation(a, b):
    """Spearman's, without ties."""
    squares = sum((x - y) ** 2 for x, y in zip(ranks(a), ranks(b)))
    return 1.0 - 6.0 * squares / (len(a) * (len(a) ** 2 - 1))


def smoothed(numbers, width=10):
    return [sum(numbers[i : i + width]) / width for i in range(len(numbers) - width + 1)]


class Device(Workspace):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gpu = options.device != "cpu"
        cls.bounds = NARROW if cls.gpu else EXACT
        cls.distances = {}
        cls.size = recipes.QUICK_START if options.device == "cuda" else recipes.SMALL
        recipes.write_tokens(cls.root, cls.size)
        recipes.write_task(cls.root)
        texts = {"teacher": recipes.teacher(cls.size), "cut": recipes.cut(cls.size), "scores": recipes.all_scores(cls.size),
                 "distill": recipes.distill(cls.size, cls.size.steps, '{ name = "kl" }'),
                 "losses": recipes.distill(cls.size, 4, ", ".join(f'{{ name = "{name}" }}' for name in LOSSES), 'recompute = "layers"')}
        for name, text in texts.items():
            (cls.root / f"{name}.toml").write_text(text)
        cls.on_device("run", "teacher.toml", output="runs/teacher")
        for run in ("first", "again"):
            cls.pipeline(run)
        # What the teacher says comes from a cache, which changes no byte, and tells the order of the windows.
        cls.on_host("run", "distill.toml", "--set", "teacher_cache.k=257", output="host/student")

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        for what, (distance, allowed) in sorted(cls.distances.items()):
            print(f"{what:<50} {distance:10.2g} of {allowed:.2g}", file=sys.stderr)

    @classmethod
    def command(cls, *arguments):
        command = super().command(*arguments)
        if options.device != "pretended" or "--device" not in command:
            return command
        folder = pathlib.Path(os.environ["ESPALIER_BUILD"]) / "tests/support/pretended_gpu"
        return ["env", f"LD_PRELOAD={folder / 'libpretended_gpu.so'}", f"ESPALIER_MODULE_PATH={folder}", *command]

    @classmethod
    def where(cls):
        return (["--device", "cuda"] if cls.gpu else []) + (["--threads", "1"] if options.device != "cuda" else [])

    @classmethod
    def on_device(cls, *arguments, output=None):
        return cls.run_program(*arguments, *cls.where(), *(["--set", f"output={output}"] if output else []))

    @classmethod
    def on_host(cls, *arguments, output=None):
        return cls.run_program(*arguments, "--threads", "0" if options.device == "cuda" else "2", *(["--set", f"output={output}"] if output else []))

    @classmethod
    def pipeline(cls, run):
        cls.on_device("prune", "cut.toml", output=f"{run}/cut")
        cls.on_device("run", "distill.toml", output=f"{run}/student")

    def metrics(self, run):
        return [json.loads(line) for line in (self.root / run / "metrics.jsonl").read_text().splitlines()]

    def losses(self, run):
        return [line["loss"] for line in self.metrics(run)]

    def measured(self, model, where):
        return json.loads(where("eval", model, "--data", "valid.bin", "--token-type", "uint16", "--seq-length", str(self.size.length), "--json").stdout)

    def reference(self, **wanted):
        """What device_reference.py says, on the same device in the same dtype."""
        job = {"device": "cuda" if options.device == "cuda" else "cpu", "dtype": "bfloat16" if self.gpu else "float32",
               "threads": 0 if options.device == "cuda" else 2, "seq_length": self.size.length, **wanted}
        (self.root / "job.json").write_text(json.dumps(job))
        done = subprocess.run([str(PYTHON), str(REFERENCE), "job.json"], cwd=self.root, capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    def assert_near(self, distance, allowed, what, message=""):
        """Also kept, to be printed: how much of what is allowed was used."""
        self.distances[what] = max(self.distances.get(what, (0.0, allowed)), (distance, allowed), key=lambda pair: pair[0] / pair[1])
        self.assertLessEqual(distance, allowed, message or what)

    def assert_close(self, got, expected, share, what, kind=""):
        self.assert_near(abs(got - expected) / abs(expected), share, kind or what, f"{what}: got {got}; expected {expected}")

    def assert_same_course(self, ours, theirs, whose):
        """Of losses step by step: at first before the weights differ, each step, and averaged over ten."""
        self.assertEqual(len(ours), len(theirs))
        self.assert_close(ours[0], theirs[0], self.bounds.first, f"{whose}, step 1")
        for step, (a, b) in enumerate(zip(ours, theirs), 1):
            self.assert_close(a, b, self.bounds.step, f"step {step}", f"{whose}, a step")
        for step, (a, b) in enumerate(zip(smoothed(ours), smoothed(theirs)), 1):
            self.assert_close(a, b, self.bounds.curve, f"ten steps from {step}", f"{whose}, ten steps")

    def test_it_learns_what_float32_on_the_cpu_learns(self):
        ours, theirs = self.losses("first/student"), self.losses("host/student")
        self.assertLess(theirs[-1], 0.7 * theirs[0])  # else there is nothing to compare
        self.assert_same_course(ours, theirs, "float32 on the CPU")
        # Both students by the same measure.
        ends = [self.measured(f"{run}/student", self.on_host)["nll"] for run in ("first", "host")]
        self.assert_near(abs(ends[0] - ends[1]), self.bounds.nll, "nll of the students")

    @unittest.skipUnless(loadable(), "transformers is not in .venv: run `bash setup.sh --tests`")
    def test_it_learns_what_transformers_learns_from_the_same_weights_and_tokens(self):
        lines = self.metrics("first/student")
        (cache,) = (self.root / "host/.cache/teacher").iterdir()
        order = recipes.order_of(cache)
        self.assertEqual(len(order), self.size.steps * self.size.global_batch)
        theirs = self.reference(train={
            "teacher": "runs/teacher/export", "student": "first/cut/student", "tokens": "train.bin", "order": order, "rates": [line["lr"] for line in lines],
            "global_batch": self.size.global_batch, "micro_batch": self.size.micro_batch, "weight_decay": 0.1, "clip_grad": 1.0})["train"]
        self.assert_same_course([line["loss"] for line in lines], theirs, "transformers")

    def assert_same_files(self, first, second):
        a, b = tree_digests(self.root / first), tree_digests(self.root / second)
        a.pop("recipe.lock.toml"), b.pop("recipe.lock.toml")  # it names the output folder
        self.assertEqual(a, b)

    def test_two_runs_give_the_same_bytes(self):
        self.assert_same_files("first/cut", "again/cut")
        self.assert_same_files("first/student", "again/student")

    def test_training_begins_with_the_weights_as_they_are_stored(self):
        """In float32, though passes are in bfloat16: a step that changes nothing leaves every bit."""
        self.on_device("run", "distill.toml", "--set", "distill.steps=1", "--set", 'distill.scheduler={ name = "constant", peak = 1e-30 }',
                       output="still/student")
        begun = {name: numbers for path in (self.root / "first/cut/student").glob("*.safetensors") for name, numbers in recipes.read_floats(path).items()}
        self.assertEqual(recipes.read_floats(self.root / "still/student/checkpoints/iter_0000001/model.safetensors"), begun)

    @unittest.skipUnless("cuda" in sys.argv or "pretended" in sys.argv, "recorded passes: only a GPU records; run with --device cuda")
    def test_recorded_passes_change_no_byte(self):
        self.on_device("run", "distill.toml", "--set", "distill.cuda_graph=true", output="recorded/student")
        for name in ("model.safetensors", "optimizer.safetensors"):
            last = f"student/checkpoints/iter_{self.size.steps:07}/{name}"
            self.assertEqual((self.root / "recorded" / last).read_bytes(), (self.root / "first" / last).read_bytes())

    def test_killed_in_the_middle_it_goes_on_to_the_same_bytes(self):
        child = subprocess.Popen(self.command("run", "distill.toml", *self.where(), "--set", "output=killed/student"), cwd=self.root,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        log = self.root / "killed/student/metrics.jsonl"
        while child.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") >= self.size.steps * 2 // 3):
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        self.assertEqual(child.wait(), -signal.SIGKILL)
        self.assertIn("goes on after step", self.on_device("run", "distill.toml", output="killed/student").stderr)
        self.assert_same_files("first/student", "killed/student")

    def test_it_scores_as_the_cpu_does(self):
        self.on_device("score", "scores.toml", output="first/scores")
        self.on_host("score", "scores.toml", output="host/scores")
        files = sorted(path.name for path in (self.root / "host/scores/scores").iterdir())
        self.assertEqual(len(files), 7)
        for name in files:
            ours, theirs = (recipes.read_floats(self.root / f"{run}/scores/scores/{name}") for run in ("first", "host"))
            a, b = ([score for layer in scores.values() for score in layer] for scores in (ours, theirs))
            with self.subTest(name):
                allowed = max(5 * (1 - self.bounds.scores), 1e-6) * (max(b) - min(b))
                if self.gpu and all(abs(x * recipes.ITEMS - round(x * recipes.ITEMS)) < 1e-5 for x in (*a, *b)):
                    allowed = max(allowed, 1.01 / recipes.ITEMS)  # shares of a task's items: one may be answered otherwise
                if len(b) < 16 or len(set(b)) < len(b):  # ranks of a few units say little: the scores themselves
                    self.assert_near(max(abs(x - y) for x, y in zip(a, b)), allowed, name)
                else:
                    self.assert_near(1 - rank_correlation(a, b), 1 - self.bounds.scores, f"{name}, 1 - rank correlation")

    def test_it_keeps_what_the_cpu_keeps(self):
        self.on_host("prune", "cut.toml", output="host/cut")
        ours, theirs = (json.loads((self.root / f"{run}/cut/plan.json").read_text())["selections"] for run in ("first", "host"))
        for axis, lists in theirs.items():
            layers = lists if isinstance(lists[0], list) else [lists]
            mine = ours[axis] if isinstance(lists[0], list) else [ours[axis]]
            for layer, (a, b) in enumerate(zip(mine, layers, strict=True)):
                self.assertGreaterEqual(len(set(a) & set(b)), self.bounds.kept * len(b), f"{axis}, layer {layer}")

    def test_verify_passes(self):
        self.assertIn("verified:", self.on_device("verify", "first/cut").stdout)

    @unittest.skipUnless(loadable(), "transformers is not in .venv: run `bash setup.sh --tests`")
    def test_it_evaluates_and_generates_as_transformers_does(self):
        size, model = self.size, "first/student/export"
        ours = self.measured("first/student", self.on_device)
        self.assertEqual(ours["protocol"]["device"], "cuda:0" if self.gpu else "cpu")
        prompts = [(self.root / "valid.bin").read_bytes()[2 * at : 2 * at + size.length : 2].decode() for at in (100, 2000)]
        texts = self.generated(prompts, size.length // 2)
        jobs = [{"tokens": [*text["prompt"].encode(), *text["tokens"]], "begin": len(text["prompt"])} for text in texts]
        theirs = self.reference(evaluate={"model": model, "tokens": "valid.bin"}, follow={"model": model, "texts": jobs})
        self.assert_close(ours["nll"], theirs["evaluate"], self.bounds.evaluation, "nll")
        for text, gaps in zip(texts, theirs["follow"], strict=True):
            self.assertEqual(len(gaps), len(text["tokens"]))
            self.assert_near(max(gaps), self.bounds.logits, "a chosen token's logit")  # as good as the best, where not the best
            self.assertGreaterEqual(sum(gap == 0.0 for gap in gaps), 0.9 * len(gaps))
        self.check_without_cache(texts, theirs["follow"])

    def generated(self, prompts, new_tokens):
        words = [word for prompt in prompts for word in ("--generate", prompt)]
        return json.loads(self.on_device("eval", "first/student", *words, "--new-tokens", str(new_tokens), "--json").stdout)["generated"]

    def check_without_cache(self, texts, gaps):
        """Each next token once more, from its whole prefix: the same, but where another is about as likely."""
        prefixes, expected, close = [], [], []
        for text, of_text in zip(texts, gaps):
            for i in range(0, len(text["tokens"]), 2):
                if max(text["tokens"][: i + 1]) < 128:  # a prompt is a text
                    prefixes.append(text["prompt"] + bytes(text["tokens"][:i]).decode())
                    expected.append(text["tokens"][i])
                    close.append(of_text[i])
        self.assertGreater(len(prefixes), 10)
        found = [text["tokens"][0] for text in self.generated(prefixes, 1)]
        different = sum(a != b for a, b in zip(found, expected, strict=True))
        self.assertLessEqual(different, 0.1 * len(found) if self.gpu else 0)

    def test_every_loss_has_the_value_of_the_cpu(self):
        self.on_device("distill", "losses.toml", output="first/losses")
        self.on_host("distill", "losses.toml", output="host/losses")
        for ours, theirs in zip(self.metrics("first/losses")[:1], self.metrics("host/losses")[:1]):
            for name in (*LOSSES, "grad_norm"):
                with self.subTest(name):
                    self.assert_close(ours[name], theirs[name], self.bounds.values * (3 if name == "grad_norm" else 1), name)

    def test_a_sweep_runs_on_the_device_and_counts_what_is_there(self):
        (self.root / "sweep.toml").write_text(recipes.sweep(self.size))
        self.on_device("sweep", "sweep.toml", "--jobs", "2", output="swept")
        runs = json.loads((self.root / "swept/sweep.json").read_text())["runs"]
        self.assertEqual([run["state"] for run in runs], ["done"] * 4)
        where = {json.loads(path.read_text())["protocol"]["device"] for path in (self.root / "swept").glob("*/eval.json")}
        self.assertEqual(where, {"cuda:0" if self.gpu else "cpu"})
        again = self.on_device("sweep", "sweep.toml", "--dry-run", output="swept").stdout
        self.assertIn("4 of 4 runs are done", again)
        self.assertIn("at the pace of runs that were timed", again)
        if self.gpu:  # what another device has done is neither done here, nor its pace
            here = self.on_host("sweep", "sweep.toml", "--dry-run", output="swept").stdout
            self.assertIn("0 of 4 runs are done", here)
            self.assertIn("nothing was timed", here)
            little = self.run_program("sweep", "sweep.toml", *self.where(), "--memory", "1MB", "--set", "output=swept", expect=2)
            self.assertIn("--memory: too little", little.stderr)

    def test_models_are_compared_and_timed(self):
        found = json.loads(self.on_device("compare", "first/student/export", "runs/teacher/export", "--data", "valid.bin", "--token-type", "uint16",
                                          "--seq-length", str(self.size.length), "--speed", "--prompt-tokens", "16", "--new-tokens", "4",
                                          "--repeats", "1", "--json").stdout)
        self.assertEqual(len(found["runs"]), 2)

    def test_a_step_takes_the_memory_that_was_planned(self):
        if not self.gpu:
            self.skipTest("memory of a step: a CPU's is counted in memory_test.cpp; run with --device cuda or pretended")
        size = recipes.LARGE if options.device == "cuda" else recipes.MEDIUM
        for seed, (name, text) in enumerate(recipes.large(self.root, size).items()):
            with self.subTest(name):
                (self.root / f"{name}.toml").write_text(text)
                output, table = f"large/{name}", "correct" if name == "teacher" else "distill"
                planned = json.loads(self.run_program("plan", f"{name}.toml", "--json").stdout)["training_memory"][table]["bfloat16"]["bytes"]
                # Another seed: else a run takes over from another what recompute does not change.
                self.on_device("run", f"{name}.toml", "--set", f"seed={seed}", output=output)
                self.assert_close(max(line["peak_device_bytes"] for line in self.metrics(output)), planned, 0.05, "bytes", f"memory, {name}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda", "pretended"))
    _, rest = parser.parse_known_args(namespace=options)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
