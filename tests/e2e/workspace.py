# SPDX-License-Identifier: Apache-2.0
"""A folder with a small corpus and recipes in which the tests run the program as a user would."""

import hashlib
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import tempfile
import unittest

PROGRAM = pathlib.Path(os.environ["ESPALIER_PROGRAM"])
SOURCE = pathlib.Path(__file__).resolve().parents[2]

TEACHER = """
schema = 1
name   = "teacher"
output = "runs/teacher"
[teacher]
spec = { family = "llama", layers = 4, hidden = 32, heads = 4, kv_groups = 2, head_dim = 8, ffn = 48, vocab = 257, tied = false, max_positions = 64 }
[data]
train          = "corpus/*.txt"
valid_fraction = 0.2
tokenizer      = "bytes"
seq_length     = 32
[correct]
steps        = 24
global_batch = 4
micro_batch  = 2
losses       = [ { name = "cross_entropy" } ]
scheduler    = { name = "cosine", peak = 2e-3, min = 1e-4, warmup_steps = 4 }
save_every   = 5
eval_every   = 0
log_every    = 1
[export]
dtype = "float32"
"""

STUDENT = """
schema = 1
name   = "student"
output = "runs/student"
[teacher]
path = "runs/teacher"
[data]
train          = "corpus/*.txt"
valid_fraction = 0.2
tokenizer      = "bytes"
seq_length     = 32
[score]
samples     = 24
micro_batch = 5
[[prune]]
axis   = "hidden"
keep   = 24
metric = { name = "activation" }
[[prune]]
axis   = "ffn"
ratio  = 0.5
metric = { name = "activation", seq = "l2", batch = "var" }
[[prune]]
axis   = "layers"
keep   = 3
metric = { name = "loss_drop" }
[distill]
steps        = 24
global_batch = 4
micro_batch  = 2
losses       = [ { name = "kl", weight = 0.8, temperature = 2.0 }, { name = "cross_entropy", weight = 0.2 } ]
scheduler    = { name = "cosine", peak = 2e-3, min = 1e-4, warmup_steps = 4 }
save_every   = 5
eval_every   = 10
log_every    = 1
[export]
dtype = "bfloat16"
"""

# Files that hold wall-clock time, or belong to a process.
TIMED = {"log.txt", "timings.json", "metrics.jsonl", "metrics.correct.jsonl", "events.out.tfevents.espalier", ".lock"}


def write_corpus(folder):
    """Forty documents of words from a seed: enough structure to learn, no file of the system needed."""
    draw = random.Random(5)
    words = ["".join(draw.choice("abcdefghij") for _ in range(draw.randint(2, 6))) for _ in range(60)]
    folder.mkdir(parents=True)
    for i in range(40):
        text = " ".join(draw.choice(words[: 10 + i % 50]) for _ in range(150))
        (folder / f"{i:02}.txt").write_text(text + "\n")


class Workspace(unittest.TestCase):
    """One folder for a whole test class; `reference` runs are made once."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="espalier-e2e-"))
        write_corpus(cls.root / "corpus")
        (cls.root / "teacher.toml").write_text(TEACHER)
        (cls.root / "student.toml").write_text(STUDENT)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root, ignore_errors=True)

    @classmethod
    def command(cls, *arguments):
        return [str(PROGRAM), *map(str, arguments)]

    @classmethod
    def run_program(cls, *arguments, expect=0):
        done = subprocess.run(cls.command(*arguments), cwd=cls.root, capture_output=True, text=True, timeout=300)
        if done.returncode != expect:
            raise AssertionError(f"{arguments} ended with {done.returncode}, not {expect}:\n{done.stdout}\n{done.stderr}")
        return done


def read_documents(path):
    """The columns of a file of losses by document, by name."""
    data = pathlib.Path(path).read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    columns = {"metadata": header.pop("__metadata__")}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        kind = {"I64": "q", "I32": "i", "F64": "d"}[entry["dtype"]]
        columns[name] = list(struct.unpack(f"<{entry['shape'][0]}{kind}", data[8 + size + begin : 8 + size + end]))
    return columns


def tree_digests(folder):
    """Digest of every file below `folder` that may not differ between two runs."""
    result = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.is_file() and path.name not in TIMED:
            result[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return result
