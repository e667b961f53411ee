# SPDX-License-Identifier: Apache-2.0
"""Choice tasks: measured by a run and by the verb, cached, locked, and as what depth is cut by."""

import json
import random
import re
import struct
import subprocess
import unittest

from workspace import SOURCE, STUDENT, Workspace

PYTHON = SOURCE / ".venv/bin/python"

EVAL = """
[eval]
shots = 1
tasks = [ "words.jsonl", { path = "winogrande.jsonl", name = "blanks", shots = 0 } ]
"""


def words():
    """The words of the corpus, as workspace.write_corpus draws them."""
    draw = random.Random(5)
    return ["".join(draw.choice("abcdefghij") for _ in range(draw.randint(2, 6))) for _ in range(60)]


def write_tasks(folder, items=24):
    """A word of the corpus against letters that never follow each other there."""
    draw, known = random.Random(6), words()
    lines, blanks = [], []
    for i in range(items):
        right, wrong = " " + draw.choice(known), " " + "".join(draw.choice("QXZ") for _ in range(4))
        answer = i % 2
        lines.append({"prompt": draw.choice(known), "choices": [wrong, right] if answer else [right, wrong], "answer": answer})
        blanks.append({"sentence": f"{draw.choice(known)} _ {draw.choice(known)}", "option1": draw.choice(known), "option2": "QXZ", "answer": "1"})
    (folder / "words.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "winogrande.jsonl").write_text("".join(json.dumps(line) + "\n" for line in blanks))


def cut_by_hand(source, target, left):
    """A checkpoint of some layers of another: its tensors with other names, under a config with another number of layers."""
    target.mkdir()
    data = (source / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    body, header, kept = data[8 + length:], {}, b""
    for name, info in json.loads(data[8:8 + length]).items():
        match = re.fullmatch(r"model\.layers\.(\d+)(\..*)", name)
        if name == "__metadata__" or (match and int(match[1]) not in left):
            continue
        begin, end = info["data_offsets"]
        named = f"model.layers.{left.index(int(match[1]))}{match[2]}" if match else name
        header[named] = {**info, "data_offsets": [len(kept), len(kept) + end - begin]}
        kept += body[begin:end]
    text = json.dumps(header).encode()
    (target / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + kept)
    config = json.loads((source / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**config, "num_hidden_layers": len(left)}))
    return target


def loadable():
    return PYTHON.exists() and subprocess.run([str(PYTHON), "-c", "import torch, transformers"], capture_output=True).returncode == 0


class Tasks(Workspace):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        write_tasks(cls.root)
        cls.run_program("run", "teacher.toml")
        (cls.root / "measured.toml").write_text(STUDENT + EVAL)
        cls.run_program("run", "measured.toml")
        cls.run_folder = cls.root / "runs/student"
        cls.evaluation = json.loads((cls.run_folder / "eval.json").read_text())

    def test_the_run_measures_teacher_start_and_end_by_the_same_protocol(self):
        for model in (self.evaluation, self.evaluation["teacher"], self.evaluation["before"]):
            self.assertEqual(set(model["tasks"]), {"words", "blanks"})
            for name, shots in (("words", 1), ("blanks", 0)):
                task = model["tasks"][name]
                self.assertEqual((task["items"], task["shots"]), (24, shots))
                self.assertTrue(0 <= task["accuracy"] <= 1 and 0 <= task["accuracy_norm"] <= 1)
                p = task["accuracy"]
                self.assertAlmostEqual(task["accuracy_stderr"], (p * (1 - p) / 23) ** 0.5)
                self.assertEqual(task["protocol"]["tokenizer"], "bytes")
        self.assertIn("nll", self.evaluation)
        # 24 steps are enough to know that the corpus has no capitals.
        self.assertGreater(self.evaluation["teacher"]["tasks"]["words"]["accuracy"], 0.9)

    def test_the_verb_measures_the_same_numbers(self):
        found = json.loads(self.run_program("eval", "runs/teacher", "--task", "words.jsonl", "--shots", "1", "--json").stdout)
        self.assertEqual(found["tasks"]["words"], self.evaluation["teacher"]["tasks"]["words"])
        self.assertNotIn("nll", found)
        text = self.run_program("eval", "runs/teacher", "--task", "words.jsonl", "--task", "winogrande.jsonl", "--data", "corpus/00.txt",
                                "--seq-length", "32").stdout
        self.assertRegex(text, r"nll \d\.\d+ nats per token")
        self.assertRegex(text, r"words: accuracy [01]\.\d{4} ± 0\.\d{4}, by length [01]\.\d{4} ± 0\.\d{4}; 24 items, 0 shots\n")
        self.assertIn("winogrande: accuracy", text)

    @unittest.skipUnless(loadable(), "transformers is not in .venv: run `bash setup.sh --tests`")
    def test_transformers_gives_the_same_accuracies(self):
        # Words of the corpus in other orders: hard items, whose answers hang on small differences.
        draw, known, lines = random.Random(7), words(), []
        for _ in range(200):
            choices = [" " + " ".join(draw.choice(known) for _ in range(draw.randint(1, 3))) for _ in range(draw.randint(2, 4))]
            prompt = " ".join(draw.choice(known) for _ in range(3))
            lines.append({"prompt": prompt, "choices": choices, "answer": draw.randrange(len(choices))})
        (self.root / "hard.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        ours = json.loads(self.run_program("eval", "runs/teacher", "--task", "hard.jsonl", "--json").stdout)["tasks"]["hard"]
        done = subprocess.run([str(PYTHON), str(SOURCE / "tests/golden/check_task.py"), "runs/teacher/export", "hard.jsonl"], cwd=self.root,
                              capture_output=True, text=True, check=True)
        theirs = json.loads(done.stdout)
        self.assertEqual({key: ours[key] for key in theirs}, theirs)
        self.assertNotEqual(theirs["accuracy"], theirs["accuracy_norm"])

    def test_the_comparison_has_a_column_for_each_task(self):
        text = self.run_program("compare", "runs/student").stdout
        self.assertRegex(text, r"accuracy +blanks +words\n")
        self.assertRegex(text, r"student, teacher +[01]\.\d{4} ± 0\.\d{4} +[01]\.\d{4}")
        both = json.loads(self.run_program("compare", "runs/student", "--json").stdout)
        self.assertEqual(both["arms"][0]["tasks"]["words"]["mean"], self.evaluation["tasks"]["words"]["accuracy"])

    def test_a_changed_task_is_measured_again_and_a_lock_refuses_it(self):
        self.assertIn("nothing to do", self.run_program("run", "measured.toml").stderr)
        lock = (self.run_folder / "recipe.lock.toml").read_text()
        self.assertRegex(lock, r'"task words.jsonl" = "[0-9a-f]{64}"')
        before = (self.root / "words.jsonl").read_text()
        try:
            (self.root / "words.jsonl").write_text(before + before.splitlines()[0] + "\n")
            again = self.run_program("run", "measured.toml").stderr
            self.assertRegex(again, r"distill +unchanged, skipped")
            self.assertRegex(again, r"eval +measure")
            changed = json.loads((self.run_folder / "eval.json").read_text())
            self.assertEqual(changed["tasks"]["words"]["items"], 25)
            (self.root / "locked.toml").write_text(lock)
            refused = self.run_program("run", "locked.toml", "--set", "output=runs/locked", expect=2).stderr
            self.assertIn("[lock] task words.jsonl is not what was locked", refused)
        finally:
            (self.root / "words.jsonl").write_text(before)
            self.run_program("run", "measured.toml")

    def test_a_damaged_task_is_refused_before_anything_is_run(self):
        (self.root / "damaged.jsonl").write_text('{"prompt": "a", "choices": ["b", "c"], "answer": 0}\n{"prompt": "a", "choices": ["b"]}\n')
        (self.root / "damaged.toml").write_text(STUDENT + '[eval]\ntasks = [ "damaged.jsonl" ]\n')
        error = self.run_program("run", "damaged.toml", "--set", "output=runs/damaged", expect=1).stderr
        self.assertIn('damaged.jsonl:2: "choices" leaves no choice; got 1; expected at least 2', error)
        self.assertFalse((self.root / "runs/damaged/scores").exists())
        error = self.run_program("eval", "runs/teacher", "--task", "damaged.jsonl", expect=1).stderr
        self.assertIn("damaged.jsonl:2:", error)
        error = self.run_program("eval", "runs/teacher", expect=2).stderr
        self.assertIn("espalier eval: nothing to measure; expected --data (a token file, text or a glob), --task (choice tasks, .jsonl), --speed or --generate", error)

    def test_without_validation_data_tasks_alone_are_measured(self):
        text = STUDENT.replace("valid_fraction = 0.2\n", "").replace("eval_every   = 10", "eval_every   = 0")
        (self.root / "alone.toml").write_text(text + EVAL)
        self.run_program("run", "alone.toml", "--set", "output=runs/alone")
        found = json.loads((self.root / "runs/alone/eval.json").read_text())
        self.assertNotIn("nll", found)
        self.assertEqual(set(found["tasks"]), {"words", "blanks"})
        table = self.run_program("compare", "runs/alone", "runs/student").stdout
        self.assertRegex(table, r"alone, before +[01]\.\d{4}")

    def test_depth_is_cut_by_what_a_task_loses(self):
        text = STUDENT[:STUDENT.index("[[prune]]")] + """
[[prune]]
axis       = "layers"
keep       = 2
contiguous = true
metric     = { name = "task_drop", file = "words.jsonl", shots = 1 }
[export]
dtype = "float32"
"""
        (self.root / "depth.toml").write_text(text.replace("runs/student", "runs/depth"))
        self.run_program("run", "depth.toml")
        kept = json.loads((self.root / "runs/depth/plan.json").read_text())["selections"]["layers"]
        self.assertEqual(len(kept), 2)
        # The run that was cut is what the verb says of the three students that could have been made.
        accuracies = {}
        for first in range(3):
            left = [layer for layer in range(4) if not first <= layer < first + 2]
            folder = cut_by_hand(self.root / "runs/teacher/export", self.root / f"cut-{first}", left)
            found = json.loads(self.run_program("eval", folder, "--task", "words.jsonl", "--shots", "1", "--json").stdout)
            accuracies[first] = found["tasks"]["words"]["accuracy"]
        cut = min(layer for layer in range(4) if layer not in kept)
        # Of equal runs the last one goes.
        self.assertEqual(cut, max(first for first in accuracies if accuracies[first] == max(accuracies.values())), accuracies)
        self.assertIn("nothing to do", self.run_program("run", "depth.toml").stderr)
        lock = (self.root / "runs/depth/recipe.lock.toml").read_text()
        self.assertRegex(lock, r'"task words.jsonl" = "[0-9a-f]{64}"')


if __name__ == "__main__":
    unittest.main(verbosity=2)
