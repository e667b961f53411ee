#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times prompt and decoding of Hugging Face folders against transformers in eager PyTorch, interleaved, each in processes
of its own. A folder may be LAYERS,HIDDEN,FFN,HEADS,KV_GROUPS,VOCAB: a Llama of random weights.

    PYTHON=/path/to/python/with/transformers THREADS=1 tests/bench/decode/run.py build/release/espalier FOLDER...
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

THREADS, REPEATS = os.environ.get("THREADS", "1"), os.environ.get("REPEATS", "5")
EAGER = [os.environ.get("PYTHON", sys.executable), str(Path(__file__).with_name("decode_eager.py"))]


def run(command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def ours(program, model, batch, prompt, new):
    speed = json.loads(run([program, "eval", model, "--speed", "--json", "--threads", THREADS, "--batch", batch, "--prompt-tokens", prompt,
                            "--new-tokens", new, "--repeats", REPEATS, "--log-level", "error"]))["speed"]["models"][0]["spread"]
    return {"first": speed["time_to_first_token_ms"]["min"] / 1e3, "rest": int(batch) * (int(new) - 1) / speed["decode_tokens_per_s"]["max"]}


def eager(model, batch, prompt, new):
    result = json.loads(run([*EAGER, model, THREADS, batch, prompt, new, REPEATS]))
    return {name: values[0] for name, values in result.items()}


def main():
    program, *models = sys.argv[1:]
    print(f"{'model':>32} {'batch':>5} {'ours: first':>12} {'a token':>9} {'eager: first':>13} {'a token':>9} {'prompt':>7} {'decode':>7}   {THREADS} threads, best of {REPEATS} twice")
    with tempfile.TemporaryDirectory() as scratch:
        for i, model in enumerate(models):
            folder = model
            if not Path(model).exists():
                folder = f"{scratch}/{i}"
                run([*EAGER, "--random", folder, *model.split(",")])
            for batch in ("1", "8"):
                shape = (folder, batch, "128", "65")
                best = {"ours": {}, "eager": {}}
                for name in ("ours", "eager", "eager", "ours"):  # ABBA: a drift of the machine hits both alike
                    times = ours(program, *shape) if name == "ours" else eager(*shape)
                    for part, seconds in times.items():
                        best[name][part] = min(seconds, best[name].get(part, seconds))
                mine, theirs = best["ours"], best["eager"]
                print(f"{model[-32:]:>32} {batch:>5} {mine['first'] * 1e3:9.2f} ms {mine['rest'] / 64 * 1e3:6.3f} ms {theirs['first'] * 1e3:10.2f} ms"
                      f" {theirs['rest'] / 64 * 1e3:6.3f} ms {theirs['first'] / mine['first']:6.2f}x {theirs['rest'] / mine['rest']:6.2f}x", flush=True)


main()
