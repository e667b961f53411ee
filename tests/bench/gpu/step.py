#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whole distillation steps of published shapes with random weights: this program beside transformers, in turns, on one device.

    tests/bench/gpu/step.py build/dev/espalier PAIR [--device cuda] [--steps 60] [--peers eager,compile,liger,liger-cudnn] [--settings cheap,none,none+graph]

SETTING: a value of recompute, with +graph for cuda_graph = true, +moments and +gradients for either in bfloat16.
PAIR: tiny or small (checks of this script, on any device), 3b-1b, 8b-4.5b or 12b-8b (shapes.py). Every program trains the same student from the same
weights on tokens of the same kind, in bfloat16 over float32 masters on a GPU. Prints tokens per second (median after ten steps), the ratio
to each peer, model FLOPs utilisation against 989 TFLOP/s (causal attention counted by half), and peak memory beside what the plan says.
A peer that is not installed or runs out of memory is said to be so.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy

from measured import write_random
from shapes import PAIRS

HERE, PEAK_FLOPS, WARM_UP = Path(__file__).parent, 989e12, 10
LINES = 12  # of a profile


def recipe(root, pair, steps, setting):
    recompute, *more = setting.split("+")
    return f"""schema = 1
name = "bench"
output = "{root}/{setting}/run"  # each setting has a cache of its own: nothing is taken over
[teacher]
path = "{root}/teacher"
[data]
train = [ "{root}/tokens.bin" ]
token_type = "int32"
seq_length = {pair.length}
[score]
samples = 1
{pair.blocks()}[distill]
steps = {steps}
global_batch = {pair.global_batch}
micro_batch = {pair.micro_batch}
recompute = "{recompute}"
cuda_graph = {"true" if "graph" in more else "false"}
optimizer = {{ moments = "{"bfloat16" if "moments" in more else "float32"}", gradients = "{"bfloat16" if "gradients" in more else "float32"}" }}
losses = [ {{ name = "kl" }} ]
scheduler = {{ name = "constant", peak = 1e-5 }}
save_every = 0
eval_every = 0
log_every = 1
"""


def ours(program, root, pair, steps, device, setting):
    file = root / f"{setting}.toml"
    file.write_text(recipe(root, pair, steps, setting))
    subprocess.run([program, "distill", file, "--device", device, "--log-level", "warning"], check=True, stdout=subprocess.DEVNULL)
    lines = [json.loads(line) for line in (root / setting / "run" / "metrics.jsonl").read_text().splitlines()]
    plan = json.loads(subprocess.run([program, "plan", file, "--json"], check=True, stdout=subprocess.PIPE, text=True).stdout)
    predicted = plan["training_memory"]["distill"]["bfloat16" if device == "cuda" else "float32"]["bytes"]
    return {"rates": [line["tokens_per_s"] for line in lines[WARM_UP:]], "losses": [line["loss"] for line in lines],
            "peak_bytes": lines[-1].get("peak_device_bytes", lines[-1]["peak_rss"]), "predicted_bytes": predicted}


def profile(program, root, device, setting):
    """Where three steps go: the share of the time in which a kernel runs, and the kernels that take most of it."""
    trace = root / "trace.json"
    command = [program, "distill", root / f"{setting}.toml", "--device", device, "--log-level", "warning", "--set", f"output={root}/profile", "--set", "distill.steps=8"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "ESPALIER_TRACE": str(trace)})
    kind = "kernel" if device == "cuda" else "cpu_op"
    events = [e for e in json.loads(trace.read_text())["traceEvents"] if e.get("cat") == kind and e.get("ph") == "X"]
    spans = sorted((e["ts"], e["ts"] + e["dur"]) for e in events)
    busy, end = 0.0, spans[0][0]
    for begin, until in spans:
        busy += max(0.0, until - max(begin, end))
        end = max(end, until)
    totals = {}
    for e in events:
        totals[e["name"]] = totals.get(e["name"], 0.0) + e["dur"]
    print(f"profile of three steps, {setting}: {kind}s run {100 * busy / (end - spans[0][0]):.1f} % of {(end - spans[0][0]) / 1e3:.1f} ms")
    for name, time in sorted(totals.items(), key=lambda item: -item[1])[:LINES]:
        print(f"  {100 * time / (end - spans[0][0]):5.1f} % {name[:110]}")


def peer(name, root, student, pair, steps, device):
    how, _, attention = name.partition("-")
    command = [sys.executable, HERE / "step_hf.py", how, root / "teacher", student, root / "tokens.bin", pair.length, pair.micro_batch, pair.global_batch, steps, device]
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "ATTENTION": attention})
    if done.returncode != 0:
        return {"failed": done.stderr.strip().splitlines()[-1][:120] if done.stderr.strip() else f"exit code {done.returncode}"}
    result = json.loads(done.stdout)
    tokens = pair.global_batch * pair.length
    return {"rates": [tokens / s for s in result["seconds"][WARM_UP:]], "losses": result["losses"], "peak_bytes": result["peak_bytes"]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=Path)
    parser.add_argument("pair", choices=PAIRS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--peers", default="eager,compile,liger,liger-cudnn")
    parser.add_argument("--settings", default="cheap,none,none+graph")
    options = parser.parse_args()
    if options.steps <= WARM_UP:
        parser.error(f"--steps: too few; got {options.steps}; expected more than the {WARM_UP} that warm up")
    pair, settings = PAIRS[options.pair], options.settings.split(",")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        write_random(root / "teacher", options.pair, options.device)
        count = (options.steps + 1) * pair.global_batch * pair.length
        numpy.random.default_rng(1).integers(0, pair.teacher.vocab, count, dtype=numpy.int32).tofile(root / "tokens.bin")
        program = options.program.resolve()
        results = {f"ours, {s}": ours(program, root, pair, options.steps, options.device, s) for s in settings}
        for name in options.peers.split(","):
            results[name] = peer(name, root, root / settings[0] / "run" / "student", pair, options.steps, options.device)
        table(options, pair, results)
        profile(program, root, options.device, settings[0])


def table(options, pair, results):
    best = max(statistics.median(r["rates"]) for name, r in results.items() if name.startswith("ours"))
    print(f"{options.pair}, {options.device}, {pair.length} tokens, micro-batch {pair.micro_batch} of {pair.global_batch}, {options.steps} steps")
    print(f"{'':>24} {'tokens/s':>10} {'ours/this':>10} {'MFU':>7} {'peak GB':>8} {'plan GB':>8} {'last loss':>10}")
    for name, result in results.items():
        if "failed" in result:
            print(f"{name:>24} failed: {result['failed']}")
            continue
        rate = statistics.median(result["rates"])
        plan = f"{result['predicted_bytes'] / 1e9:8.2f}" if "predicted_bytes" in result else f"{'':>8}"
        print(f"{name:>24} {rate:10.0f} {best / rate:9.2f}x {100 * rate * pair.flops_per_token() / PEAK_FLOPS:6.1f}% {result['peak_bytes'] / 1e9:8.2f} {plan}"
              f" {result['losses'][-1]:10.5f}")


main()
