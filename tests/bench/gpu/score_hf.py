# SPDX-License-Identifier: Apache-2.0
"""An importance pass as NVIDIA's Model-Optimizer makes it for Minitron, on transformers: hooks that keep, of the outputs of the norms, of
what down_proj and o_proj read, and of what goes through each layer, a number for each unit. Nothing of theirs is used.

    score_hf.py TEACHER TOKENS SAMPLES LENGTH BATCH cuda|cpu OUT       OUT: a folder for the scores; "none": without hooks, the bare forward
    score_hf.py TEACHER TOKENS SAMPLES LENGTH fit cuda|cpu none        only says which batch of 1, 2, 4, 8 fits and is the fastest

Of each tap in float32: mean of |x| over the tokens of a sample, its square summed over samples, the root at the end; channels of the hidden
state are then summed over all norms, the head's channels taken as an l2 norm. Of each layer 1 - cos(input, output), fetched at once. On a
GPU attention is whatever scaled_dot_product_attention takes unless ATTENTION=cudnn. bfloat16 on a GPU, float32 on a CPU, without the
matrix of the head, which no score needs. A first forward of one sample, before the hooks, is in neither number: what Python and LibTorch
do once is not the pass. Prints one JSON object: seconds of loading and of the pass.
"""
import json
import os
import sys
import time
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AutoModelForCausalLM


class Statistics:
    def __init__(self, model):
        self.squares, self.turned, self.samples = {}, [0.0] * len(model.model.layers), 0
        for i, layer in enumerate(model.model.layers):
            layer.input_layernorm.register_forward_hook(lambda _, __, out, i=i: self.tap(f"norm/{i}/0", out))
            layer.post_attention_layernorm.register_forward_hook(lambda _, __, out, i=i: self.tap(f"norm/{i}/1", out))
            layer.mlp.down_proj.register_forward_pre_hook(lambda _, read, i=i: self.tap(f"ffn/{i}", read[0]))
            layer.self_attn.o_proj.register_forward_pre_hook(lambda _, read, i=i: self.tap(f"heads/{i}", read[0]))
            layer.register_forward_hook(lambda _, read, out, i=i: self.layer(i, read[0], out[0] if isinstance(out, tuple) else out))

    def tap(self, name, x):  # (batch, tokens, channels)
        square = x.float().abs().mean(dim=1).pow(2).sum(dim=0)
        self.squares[name] = self.squares[name] + square if name in self.squares else square

    def layer(self, i, before, after):
        cosine = F.cosine_similarity(before.float(), after.float(), dim=-1)
        self.turned[i] += (1 - cosine.mean()).item() * before.shape[0]
        self.samples += before.shape[0] if i == 0 else 0

    def scores(self, head_dim):
        named = {"hidden": {}, "ffn": {}, "heads": {}, "layers": {"layers": torch.tensor(self.turned) / self.samples}}
        named["hidden"]["hidden"] = sum(square.sqrt() for name, square in self.squares.items() if name.startswith("norm"))
        for name, square in self.squares.items():
            axis = name.split("/")[0]
            if axis == "ffn":
                named[axis][name] = square.sqrt()
            elif axis == "heads":
                named[axis][name] = square.view(-1, head_dim).sum(1).sqrt()
        return named


def finish(device):
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


@torch.inference_mode()
def forward(model, tokens, batch, device):
    start = finish(device)
    for first in range(0, tokens.shape[0], batch):
        model.model(input_ids=tokens[first : first + batch].to(device), use_cache=False)
    return finish(device) - start


def fastest_batch(model, tokens, device):
    seconds = {}
    for batch in (1, 2, 4, 8):
        try:
            few = tokens[: max(8, batch)]
            forward(model, few, batch, device)
            seconds[batch] = forward(model, few, batch, device)
        except torch.OutOfMemoryError:
            break
    return min(seconds, key=seconds.get)


def main():
    teacher, file, samples, length, batch, device, out = sys.argv[1:]
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    start = time.perf_counter()
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(teacher, dtype=dtype, attn_implementation="sdpa").to(device).eval()
    loaded = finish(device) - start
    tokens = torch.from_numpy(numpy.fromfile(file, dtype=numpy.int32).astype(numpy.int64)).view(int(samples), int(length))
    forward(model, tokens[:1], 1, device)
    statistics = None if out == "none" else Statistics(model)
    if batch == "fit":
        Statistics(model)
        print(json.dumps({"batch": fastest_batch(model, tokens, device)}))
        return
    if os.environ.get("ATTENTION") == "cudnn":
        with sdpa_kernel([SDPBackend.CUDNN_ATTENTION]):
            seconds = forward(model, tokens, int(batch), device)
    else:
        seconds = forward(model, tokens, int(batch), device)
    if statistics:
        head_dim = model.config.head_dim
        for axis, scores in statistics.scores(head_dim).items():
            Path(out).mkdir(parents=True, exist_ok=True)
            save_file({name: values.float().cpu() for name, values in scores.items()}, Path(out) / f"{axis}.safetensors")
    print(json.dumps({"load": loaded, "pass": seconds}))


main()
