#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times the distillation head against eager PyTorch, interleaved, each in processes of its own.

    PYTHON=/path/to/python/with/torch tests/bench/kd_head/run.py build/dev/tests/bench/kd_head/kd_head_bench [--quick]

Prints one line a case: seconds and added peak memory of both, and the ratios eager / ours. Only ratios count: a time by
itself says something about the machine that day.
"""
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

CASES = [  # vocabulary, hidden of student and teacher, rows
    (257, 128, 256, 4096),
    (32000, 128, 256, 2048),
    (32000, 512, 1024, 1024),
    (32000, 512, 1024, 8192),
    (32000, 2048, 2048, 1024),
    (128256, 128, 256, 2048),
    (128256, 512, 1024, 2048),
]


def call(command, case, repeats):
    vocab, student, teacher, rows = case
    arguments = [str(x) for x in (vocab, student, teacher, rows, 0, repeats)]
    done = subprocess.run(command + arguments, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def main():
    bench = [sys.argv[1]]
    eager = [os.environ.get("PYTHON", sys.executable), str(Path(__file__).with_name("kd_head_eager.py"))]
    cases = CASES[:3] if "--quick" in sys.argv else CASES
    print(f"{'vocab':>7} {'Hs':>5} {'Ht':>5} {'rows':>5} {'ours s':>8} {'eager s':>8} {'speed':>6}"
          f" {'ours MB':>8} {'eager MB':>9} {'memory':>7} {'loss diff':>10}")
    for case in cases:
        results = {"ours": [], "eager": []}
        for name in ("ours", "eager", "eager", "ours"):  # ABBA: a drift of the machine hits both alike
            result = call(bench if name == "ours" else eager, case, 2)
            if result:
                results[name].append(result)
        if len(results["ours"]) < 2 or len(results["eager"]) < 2:
            print(f"{case}: a program failed (out of memory?)")
            continue
        seconds = {n: statistics.median(s for r in rs for s in r["seconds"]) for n, rs in results.items()}
        memory = {n: max(r["peak_bytes"] for r in rs) / 1e6 for n, rs in results.items()}
        losses = {n: rs[0]["loss"] for n, rs in results.items()}
        print(f"{case[0]:7} {case[1]:5} {case[2]:5} {case[3]:5} {seconds['ours']:8.3f} {seconds['eager']:8.3f}"
              f" {seconds['eager'] / seconds['ours']:5.2f}x {memory['ours']:8.0f} {memory['eager']:9.0f}"
              f" {memory['ours'] / memory['eager']:6.2f}x {abs(losses['ours'] / losses['eager'] - 1):10.1e}", flush=True)


main()
