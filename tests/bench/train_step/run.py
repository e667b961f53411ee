#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times whole training steps against eager PyTorch, interleaved, each in processes of its own.

    PYTHON=/path/to/python/with/torch tests/bench/train_step/run.py build/dev/tests/bench/train_step/train_step_bench
"""
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

STEPS = "40"


def main():
    programs = {
        "ours": [sys.argv[1]],
        "eager": [os.environ.get("PYTHON", sys.executable), str(Path(__file__).with_name("train_step_eager.py"))],
    }
    print(f"{'loss':>14} {'ours tok/s':>11} {'eager tok/s':>12} {'speed':>6} {'ours MB':>8} {'eager MB':>9}")
    for loss in ("cross_entropy", "kl"):
        seconds, memory, tokens = {"ours": [], "eager": []}, {}, 0
        for name in ("ours", "eager", "eager", "ours"):  # ABBA: a drift of the machine hits both alike
            done = subprocess.run(programs[name] + [loss, STEPS], stdout=subprocess.PIPE, text=True, check=True)
            result = json.loads(done.stdout)
            seconds[name] += result["seconds"]
            memory[name], tokens = result["peak_bytes"] / 1e6, result["tokens"]
        rate = {name: tokens / statistics.median(values) for name, values in seconds.items()}
        print(f"{loss:>14} {rate['ours']:11.0f} {rate['eager']:12.0f} {rate['ours'] / rate['eager']:5.2f}x"
              f" {memory['ours']:8.0f} {memory['eager']:9.0f}", flush=True)


main()
