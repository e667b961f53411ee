#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pruning a checkpoint of random weights, slice and save: this program beside the honest simple slicer (load_file, index_select, save_file).

    tests/bench/gpu/slice.py build/dev/espalier PAIR [--device cuda] [--repeats 4] [--folder DIR]

PAIR: tiny (a check of this script), small, 3b-1b, 8b-4.5b or 12b-8b (shapes.py). `espalier prune` runs once: it makes the plan, whose kept
units both sides then cut by, and its stages are shown. Slicing alone is tests/bench/slice beside gpu/slice_simple.py, on the CPU and with
--device cuda also with its gather on the GPU; every tensor must have the same bytes. All end with what they wrote on the disk (fsync), and
the page cache is asked to drop the teacher before each. The disk's own pace is a plain read of the teacher and a write of the student's
size, in the same turns. Columns: the whole process; the work alone, without the start of the program and its libraries (of `espalier prune`:
its stages), and by it the teacher's bytes plus the student's a second; peak resident memory.
"""
import argparse
import hashlib
import json
import os
import shutil
import struct
import sys
import tempfile
import time
from pathlib import Path

import numpy

from measured import HERE, Measured, forget, in_turns, median, run, write_random
from shapes import PAIRS

BLOCK = 8 << 20
T10 = "T10, 12B to 8B: at least 80 % of the disk's pace, at most 512 MB resident, and a third of the simple slicer's time"


def recipe(root, pair):
    return f"""schema = 1
name = "bench"
output = "{root}/verb/run"
[teacher]
path = "{root}/teacher"
[data]
train = [ "{root}/tokens.bin" ]
token_type = "int32"
seq_length = 16
[score]
samples = 1
seq_length = 16
{pair.blocks()}"""


def verb(program, root, pair):
    """`espalier prune` as a user calls it. Leaves the plan, and returns what it took."""
    (root / "verb").mkdir()
    (root / "recipe.toml").write_text(recipe(root, pair))
    forget((root / "teacher").glob("*.safetensors"))
    result = run([program, "prune", root / "recipe.toml"])
    if result.failed:
        sys.exit(f"espalier prune: {result.failed}")
    result.parts = json.loads((root / "verb" / "run" / "timings.json").read_text())
    shutil.copy(root / "verb" / "run" / "plan.json", root / "plan.json")
    shutil.rmtree(root / "verb")
    return result


def tensors(folder):
    """Name → dtype, shape and digest of the bytes, in pieces: a large file does not become resident."""
    result = {}
    for file in sorted(Path(folder).glob("*.safetensors")):
        with open(file, "rb") as stream:
            length = struct.unpack("<Q", stream.read(8))[0]
            header = json.loads(stream.read(length))
            header.pop("__metadata__", None)
            for name, info in header.items():
                begin, end = info["data_offsets"]
                stream.seek(8 + length + begin)
                digest = hashlib.sha256()
                while begin < end:
                    piece = stream.read(min(BLOCK, end - begin))
                    digest.update(piece)
                    begin += len(piece)
                result[name] = info["dtype"], tuple(info["shape"]), digest.hexdigest()
    return result


class Side:
    """One way of slicing. What its first run wrote is remembered, tensor by tensor."""

    def __init__(self, command, root, device):
        self.command, self.root, self.device, self.written, self.stayed = command, root, device, None, 0.0

    def __call__(self):
        out = self.root / "out"
        shutil.rmtree(out, ignore_errors=True)
        self.stayed = max(self.stayed, forget((self.root / "teacher").glob("*.safetensors")))
        result = run([*self.command, self.root / "teacher", self.root / "plan.json", out, *([self.device] if self.device else [])])
        if not result.failed:
            result.parts = json.loads(result.out.splitlines()[-1])
            self.written = self.written or tensors(out)
        shutil.rmtree(out, ignore_errors=True)
        return result


def disk(root, size):
    """Seconds of reading the teacher's files and of writing as much as the student has, through the page cache, without a gap."""
    files, block = list((root / "teacher").glob("*.safetensors")), bytearray(BLOCK)
    forget(files)
    start = time.perf_counter()
    for file in files:
        with open(file, "rb", buffering=0) as stream:
            while stream.readinto(block):
                pass
    read = time.perf_counter() - start
    block[:] = os.urandom(BLOCK)
    start = time.perf_counter()
    with open(root / "plain", "wb", buffering=0) as stream:
        for first in range(0, size, BLOCK):
            stream.write(memoryview(block)[: min(BLOCK, size - first)])
        os.fsync(stream.fileno())
    write = time.perf_counter() - start
    (root / "plain").unlink()
    result = Measured(read + write, 0, 0, "")
    result.parts = {"read": read, "write": write}
    return result


def parts_of(runs):
    return ", ".join(f"{name} {median(runs, lambda r, n=name: r.parts.get(n, 0.0)):.2f}" for name in runs[0].parts)


def table(options, sizes, pruned, results, failed):
    moved = sum(sizes)
    print(f"{options.pair}: {sizes[0] / 1e9:.2f} GB to {sizes[1] / 1e9:.2f} GB; medians of {options.repeats}, espalier prune once")
    print(f"{'':>16} {'process s':>10} {'work s':>7} {'GB/s':>6} {'of the disk':>11} {'peak MB':>8}   seconds of its parts")
    plain = median(results["the disk"], lambda r: r.seconds)
    numbers = {}
    for name, runs in [*results.items(), ("espalier prune", [pruned])]:
        if name in failed:
            print(f"{name:>16} failed: {failed[name]}")
            continue
        work, peak = median(runs, lambda r: sum(r.parts.values())), median(runs, lambda r: r.resident_bytes) / 1e6
        numbers[name] = work, median(runs, lambda r: r.seconds), peak
        print(f"{name:>16} {numbers[name][1]:10.2f} {work:7.2f} {moved / work / 1e9:6.2f} {100 * plain / work:9.0f} % {peak:8.0f}   {parts_of(runs)}")
    for name in numbers:
        if name.startswith("simple") and "ours" in numbers:
            work, process, peak = (a / b for a, b in zip(numbers["ours"], numbers[name]))
            print(f"ours / {name}: time of the work {work:.2f}, of the process {process:.2f}, memory {peak:.2f}")
    print(T10)


def check(sides):
    for name, side in sides.items():
        if side.written is not None and side.written != sides["ours"].written:
            sys.exit(f"{name} and ours wrote other tensors")
    print("every tensor has the same bytes on all sides")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=Path)
    parser.add_argument("pair", choices=PAIRS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--folder", help="on the disk to be measured; default: the system's for temporary files")
    options = parser.parse_args()
    pair, program = PAIRS[options.pair], options.program.resolve()
    sizes = [2 * model.parameters() for model in (pair.teacher, pair.student)]
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        root = Path(scratch)
        if shutil.disk_usage(root).free < 1.05 * sum(sizes):
            sys.exit(f"{options.pair}: needs {1.05 * sum(sizes) / 1e9:.0f} GB of disk in {root}")
        write_random(root / "teacher", options.pair, options.device)
        numpy.arange(64, dtype=numpy.int32).tofile(root / "tokens.bin")
        pruned = verb(program, root, pair)
        sides = {"ours": Side([program.parent / "tests" / "bench" / "slice" / "slice_bench"], root, "")}
        for device in dict.fromkeys(("cpu", options.device)):
            sides[f"simple, {device}"] = Side([sys.executable, HERE / "slice_simple.py"], root, device)
        results, failed = in_turns({**sides, "the disk": lambda: disk(root, sizes[1])}, options.repeats)
        table(options, sizes, pruned, results, failed)
        print(f"of the teacher at most {100 * max(side.stayed for side in sides.values()):.0f} % was still in memory when a slicer began")
        check(sides)


main()
