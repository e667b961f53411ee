#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A sweep of eight students of the quick start's teacher, with [teacher_cache] and without, at the same time: one process of one thread
each, so that both see the machine alike. Prints seconds of both and their ratio, and fails when a student's bytes differ.

    tests/bench/teacher_cache/run.py build/dev/espalier [TOKENS [WINDOWS]]      # 1000000 tokens of distillation, 384 windows of evaluation

Needs runs/quickstart/teacher (bash examples/quickstart.sh makes it).
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# Name and what is kept of 128 channels, 384 neurons and 4 heads a layer, 6 layers: from a half to an eighth of the parameters. Of a
# student of the teacher's size the cache can save a quarter (its step is three times the teacher's), of a half about a third.
STUDENTS = [("width-half", 96, 216, 4, 6), ("width-third", 80, 224, 2, 6), ("width-quarter", 64, 192, 2, 6), ("width-eighth", 48, 128, 2, 6),
            ("depth-3", 128, 384, 4, 3), ("depth-2", 128, 384, 4, 2), ("depth-1", 128, 384, 4, 1), ("both", 96, 216, 4, 3)]
ACTIVATION = 'metric = { name = "activation", seq = "mean", batch = "l2" }'
CACHE = '[teacher_cache]\nk = 257  # the whole vocabulary\n'


def recipe(output, tokens, windows, cache):
    text = f'schema = 1\nextends = "{ROOT}/recipes/quickstart/base.toml"\nname = "students"\noutput = "{output}"\n'
    text += f"[distill]\ntokens = {tokens}\n[eval]\nwindows = {windows}\n{CACHE if cache else ''}[sweep]\nseeds = [1]\n"
    for name, hidden, ffn, heads, layers in STUDENTS:
        axes = [("hidden", hidden, 128, ACTIVATION), ("ffn", ffn, 384, ACTIVATION), ("heads", heads, 4, ACTIVATION),
                ("layers", layers, 6, 'metric = { name = "block_influence" }')]
        cuts = ", ".join(f'{{ axis = "{axis}", keep = {keep}, {metric} }}' for axis, keep, whole, metric in axes if keep < whole)
        text += f'[[sweep.arm]]\nname = "{name}"\nprune = [ {cuts} ]\n'
    return text


def main():
    program, tokens, windows = Path(sys.argv[1]).resolve(), *[int(value) for value in [*sys.argv[2:], 1_000_000, 384][:2]]
    with tempfile.TemporaryDirectory() as scratch:
        running = {}
        for name in ("without", "with"):
            folder = Path(scratch) / name
            folder.mkdir()
            (folder / "recipe.toml").write_text(recipe(folder / "students", tokens, windows, name == "with"))
            command = ["/usr/bin/env", "time", "-p", program, "sweep", folder / "recipe.toml", "--jobs", "1", "--threads", "1"]
            running[name] = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        seconds = {}
        for name, process in running.items():
            said = process.communicate()[1]
            if process.returncode != 0:
                sys.exit(f"{name} the cache: {said}")
            seconds[name] = {line.split()[0]: float(line.split()[1]) for line in said.splitlines()[-3:]}
        print(f"{len(STUDENTS)} students, {tokens} tokens each, {windows} windows of evaluation, one thread")
        for what, of in (("wall", lambda s: s["real"]), ("CPU", lambda s: s["user"] + s["sys"])):
            without, with_cache = of(seconds["without"]), of(seconds["with"])
            print(f"{what:>5}: {without:7.1f} s without, {with_cache:7.1f} s with the cache: {with_cache / without:.3f}")
        parts = {name: sum_of_stages(Path(scratch) / name / "students") for name in running}
        for stage in sorted(parts["with"], key=lambda stage: -parts["with"][stage])[:4]:
            print(f"       {stage:<14} {parts['without'].get(stage, 0.0):7.1f} s {parts['with'][stage]:7.1f} s")
        for student in sorted((Path(scratch) / "with" / "students").glob("*/export/*.safetensors")):
            other = Path(scratch) / "without" / student.relative_to(Path(scratch) / "with")
            if student.read_bytes() != other.read_bytes():
                sys.exit(f"{student.parent.parent.name}: the cache changed the student's bytes")


def sum_of_stages(folder):
    sums = {}
    for file in folder.glob("*/timings.json"):
        for stage, seconds in json.loads(file.read_text()).items():
            sums[stage] = sums.get(stage, 0.0) + seconds
    return sums


if __name__ == "__main__":
    main()
