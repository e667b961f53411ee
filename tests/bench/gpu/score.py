#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The importance pass of a model of random weights: this program beside transformers with hooks that do what Model-Optimizer's do.

    tests/bench/gpu/score.py build/dev/espalier MODEL [--device cuda] [--samples 32] [--length 4096] [--repeats 4] [--folder DIR]

MODEL: tiny (a check of this script, on any device), small, 3b, 8b or 12b (shapes.py). Both sides take mean |x| of all width axes and the
turn of each layer, in one pass over the same windows; the scores must agree. Each is run as shipped (one sample at a time) and tuned (the
batch that is the fastest for the peer, on a GPU with cuDNN's attention). Columns: the whole process; loading the weights (of ours: the stage
`score` in timings.json less the pass); the pass alone (of ours: as log.txt says), its rate, TFLOP/s by (2 body + the causal half of
attention) a token; peak memory, of the GPU by nvidia-smi, of the CPU resident.
"""
import argparse
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

import numpy
from safetensors.numpy import load_file

from measured import HERE, in_turns, median, run, write_random
from shapes import MODELS

PASS = re.compile(r"score +\d+ samples of \d+ tokens in ([0-9.]+) s")
# Largest mean relative difference of the scores of an axis: sums in another order; on a GPU also roundings of bfloat16 in other places.
TOLERANCE = {"cpu": 1e-4, "cuda": 1e-2}
T7 = "T7, on one H200: at least 570 TFLOP/s (1024 × 4096 tokens of the 12B in 170 s), a third of Model-Optimizer's GPU time"


def recipe(root, output, samples, length, batch):
    activation = 'name = "activation", seq = "mean", batch = "l2"'
    metrics = {"hidden": activation, "ffn": activation, "heads": activation + ', norm = "channel_then_norm"', "layers": 'name = "block_influence"'}
    blocks = "".join(f'[[prune]]\naxis = "{axis}"\nratio = 0.75\nmetric = {{ {metric} }}\n' for axis, metric in metrics.items())
    return f"""schema = 1
name = "bench"
output = "{output}"
[teacher]
path = "{root}/teacher"
[data]
train = [ "{root}/tokens.bin" ]
token_type = "int32"
seq_length = {length}
[score]
samples = {samples}
seq_length = {length}
micro_batch = {batch}
{blocks}"""


def ours(program, root, options, batch, environment):
    folder = root / f"ours-{batch}"  # with a cache of its own, made anew each time: nothing is taken over
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "recipe.toml").write_text(recipe(root, folder / "run", options.samples, options.length, batch))
    result = run([program, "score", folder / "recipe.toml", "--device", options.device], options.device, environment)
    if not result.failed:
        found = PASS.search((folder / "run" / "log.txt").read_text())
        stage = json.loads((folder / "run" / "timings.json").read_text())["score"]
        result.parts = {"load": stage - float(found[1]), "pass": float(found[1])}
    return result


def peer_command(root, options, batch, out):
    files = [root / "teacher", root / "tokens.bin"]
    return [sys.executable, HERE / "score_hf.py", *files, options.samples, options.length, batch, options.device, out]


def peer(root, options, batch, environment, scores):
    out = root / f"peer-{batch}" if scores else "none"
    result = run(peer_command(root, options, batch, out), options.device, environment)
    if not result.failed:
        result.parts = json.loads(result.out.splitlines()[-1])
    return result


def programs(program, root, options, batch):
    tuned = {"ATTENTION": "cudnn", "ESPALIER_ATTENTION": "cudnn"} if options.device == "cuda" else {}
    settings = {"as shipped": (1, {}), "tuned": (batch, tuned)}
    result = {}
    for name, (size, environment) in settings.items():
        result[f"ours {name}"] = lambda s=size, e=environment: ours(program, root, options, s, e)
        result[f"hooks {name}"] = lambda s=size, e=environment: peer(root, options, s, e, True)
    result["no hooks tuned"] = lambda: peer(root, options, batch, tuned, False)
    return result


def ranks(values):
    return numpy.argsort(numpy.argsort(values))


def differences(mine, theirs):
    """Axis → mean relative difference and least rank correlation (Spearman) over its tensors."""
    result = {}
    for axis in ("hidden", "ffn", "heads", "layers"):
        a, b = (load_file(folder / f"{axis}.safetensors") for folder in (mine, theirs))
        if a.keys() != b.keys():
            sys.exit(f"the two sides scored other things: {sorted(a)} and {sorted(b)}")
        relative = numpy.mean([numpy.abs(a[name] - b[name]).mean() / numpy.abs(b[name]).mean() for name in a])
        result[axis] = relative, min(numpy.corrcoef(ranks(a[name]), ranks(b[name]))[0, 1] for name in a)
    return result


def table(options, batch, results, failed):
    model, tokens = MODELS[options.model], options.samples * options.length
    flops = 2 * model.body() + model.attention_flops(options.length)
    print(f"{options.model}, {options.device}, {options.samples} samples of {options.length} tokens; tuned: {batch} at a time;"
          f" medians of {options.repeats}")
    print(f"{'':>18} {'process s':>10} {'load s':>8} {'pass s':>8} {'tokens/s':>9} {'TFLOP/s':>8} {'peak GB':>8}")
    numbers = {}
    for name, runs in results.items():
        if name in failed:
            print(f"{name:>18} failed: {failed[name]}")
            continue
        seconds = median(runs, lambda r: r.parts["pass"])
        peak = median(runs, lambda r: r.device_bytes or r.resident_bytes)
        numbers[name] = seconds, median(runs, lambda r: r.seconds), peak
        print(f"{name:>18} {numbers[name][1]:10.2f} {median(runs, lambda r: r.parts['load']):8.2f} {seconds:8.3f} {tokens / seconds:9.0f}"
              f" {tokens * flops / seconds / 1e12:8.3f} {peak / 1e9:8.2f}")
    for setting in ("as shipped", "tuned"):
        if {f"ours {setting}", f"hooks {setting}"} <= numbers.keys():
            mine, theirs = numbers[f"ours {setting}"], numbers[f"hooks {setting}"]
            of_pass, process, peak = (a / b for a, b in zip(mine, theirs))
            print(f"ours / hooks, {setting}: time of the pass {of_pass:.2f}, of the process {process:.2f}, memory {peak:.2f}")
    if {"ours tuned", "no hooks tuned"} <= numbers.keys():
        print(f"ours / no hooks, tuned: time of the pass {numbers['ours tuned'][0] / numbers['no hooks tuned'][0]:.2f}")
    print(T7)


def check(root, options, batch, failed):
    wrong = False
    for setting, size in (("as shipped", 1), ("tuned", batch)):
        if failed.keys() & {f"ours {setting}", f"hooks {setting}"}:
            continue
        for axis, (relative, rank) in differences(root / f"ours-{size}" / "run" / "scores", root / f"peer-{size}").items():
            most = TOLERANCE[options.device]
            wrong = wrong or not relative <= most
            print(f"{setting}, {axis}: scores differ by {relative:.1e} (at most {most:.0e}), rank correlation {rank:.6f}")
    if wrong:
        sys.exit("the scores of the two sides do not agree")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=Path)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--folder", help="where the checkpoint goes; default: the system's for temporary files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        root = Path(scratch)
        write_random(root / "teacher", options.model, options.device)
        count = options.samples * options.length
        numpy.random.default_rng(1).integers(0, MODELS[options.model].vocab, count, dtype=numpy.int32).tofile(root / "tokens.bin")
        fit = run(peer_command(root, options, "fit", "none"), options.device)
        if fit.failed:
            sys.exit(f"the peer does not run: {fit.failed}")
        batch = json.loads(fit.out.splitlines()[-1])["batch"]
        results, failed = in_turns(programs(options.program.resolve(), root, options, batch), options.repeats)
        table(options, batch, results, failed)
        check(root, options, batch, failed)


main()
