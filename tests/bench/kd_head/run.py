#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times the distillation head against eager PyTorch, on a GPU also against Liger's fused linear JSD, in turns, each in processes of its own.

    PYTHON=/path/to/python/with/torch tests/bench/kd_head/run.py build/dev/tests/bench/kd_head/kd_head_bench [--quick] [--device cuda]

Prints one line a case and peer: seconds and added peak memory of both, the ratios peer / ours, and our FLOP/s by the least that a head
needs, 2·V·Ht + 6·V·Hs a row. Only ratios count: a time by itself says something about the machine that day.
"""
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

# Vocabulary, hidden of student and teacher, rows.
CASES = {
    "cpu": [(257, 128, 256, 4096), (32000, 128, 256, 2048), (32000, 512, 1024, 1024), (32000, 512, 1024, 8192), (32000, 2048, 2048, 1024),
            (128256, 128, 256, 2048), (128256, 512, 1024, 2048)],
    "cuda": [(128256, 2048, 3072, 8192), (128256, 3072, 4096, 8192), (131072, 4096, 5120, 8192), (131072, 4096, 5120, 32768)],
}


def call(command, case, device, how):
    arguments = [*case, 0, 2 if device == "cpu" else 20, device, *how]
    done = subprocess.run(command + [str(value) for value in arguments], stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def main():
    device = "cuda" if "cuda" in sys.argv else "cpu"
    bench, eager = [sys.argv[1]], [os.environ.get("PYTHON", sys.executable), str(Path(__file__).with_name("kd_head_eager.py"))]
    cases = CASES[device][:3] if "--quick" in sys.argv else CASES[device]
    print(f"{'vocab':>7} {'Hs':>5} {'Ht':>5} {'rows':>5} {'peer':>6} {'ours s':>8} {'peer s':>8} {'speed':>6} {'ours MB':>8} {'peer MB':>9} {'memory':>7}"
          f" {'loss diff':>10} {'ours TFLOP/s':>13}")
    for case in cases:
        for peer in ("eager", "liger") if device == "cuda" else ("eager",):
            results = {"ours": [], peer: []}
            for name in ("ours", peer, peer, "ours"):  # ABBA: a drift of the machine hits both alike
                result = call(bench, case, device, []) if name == "ours" else call(eager, case, device, [peer])
                if result:
                    results[name].append(result)
            if min(map(len, results.values())) < 2:
                print(f"{case} {peer}: a program failed (not installed, or out of memory?)")
                continue
            report(case, peer, results)


def report(case, peer, results):
    vocab, student, teacher, rows = case
    seconds = {n: statistics.median(s for r in rs for s in r["seconds"]) for n, rs in results.items()}
    memory = {n: max(r["peak_bytes"] for r in rs) / 1e6 for n, rs in results.items()}
    losses = {n: rs[0]["loss"] for n, rs in results.items()}
    flops = rows * vocab * (2 * teacher + 6 * student) / seconds["ours"] / 1e12
    print(f"{vocab:7} {student:5} {teacher:5} {rows:5} {peer:>6} {seconds['ours']:8.3f} {seconds[peer]:8.3f} {seconds[peer] / seconds['ours']:5.2f}x"
          f" {memory['ours']:8.0f} {memory[peer]:9.0f} {memory['ours'] / memory[peer]:6.2f}x {abs(losses['ours'] / losses[peer] - 1):10.1e} {flops:13.1f}", flush=True)


main()
