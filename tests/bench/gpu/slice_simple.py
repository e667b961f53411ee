# SPDX-License-Identifier: Apache-2.0
"""The honest simple slicer: load all shards, gather by a plan's kept units, save.

    slice_simple.py TEACHER PLAN OUT cpu|cuda        cuda: each tensor goes to the GPU to be gathered, and comes back

A tensor of the teacher is let go as soon as it is cut. The file is on the disk at the end (fsync), as ours is. Prints one JSON object:
seconds of loading, gathering, saving and of the fsync.
"""
import json
import os
import re
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")
# What dimension 0 and 1 of a Llama's tensors are; others have neither.
DIMENSIONS = {"embed_tokens.weight": ("", "hidden"), "lm_head.weight": ("", "hidden"), "norm.weight": ("hidden",), "q_proj.weight": ("", "hidden"),
              "k_proj.weight": ("", "hidden"), "v_proj.weight": ("", "hidden"), "o_proj.weight": ("hidden", ""), "gate_proj.weight": ("ffn", "hidden"),
              "up_proj.weight": ("ffn", "hidden"), "down_proj.weight": ("hidden", "ffn"), "input_layernorm.weight": ("hidden",),
              "post_attention_layernorm.weight": ("hidden",)}


def cut(tensor, name, kept, layer, device):
    tensor = tensor.to(device)
    for dimension, axis in enumerate(DIMENSIONS[".".join(name.split(".")[-2:])]):
        if axis in kept:
            indices = kept[axis] if axis == "hidden" else kept[axis][layer]
            tensor = tensor.index_select(dimension, torch.tensor(indices, device=device))
    return tensor.cpu().contiguous()


def main():
    teacher, plan_file, out, device = sys.argv[1:]
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    plan = json.loads(Path(plan_file).read_text())
    kept, layer_of = plan["selections"], plan["layer_of"]
    times = [time.perf_counter()]
    tensors = {}
    for file in sorted(Path(teacher).glob("*.safetensors")):
        tensors.update(load_file(file))
    times.append(time.perf_counter())
    student = {}
    for name in list(tensors):
        tensor, found = tensors.pop(name), LAYER.fullmatch(name)
        if not found:
            student[name] = cut(tensor, name, kept, 0, device)
        elif int(found[1]) in layer_of:
            layer = layer_of.index(int(found[1]))
            student[f"model.layers.{layer}.{found[2]}"] = cut(tensor, name, kept, layer, device)
    times.append(time.perf_counter())
    Path(out).mkdir()
    save_file(student, Path(out) / "model.safetensors", metadata={"format": "pt"})
    times.append(time.perf_counter())
    descriptor = os.open(Path(out) / "model.safetensors", os.O_RDONLY)
    os.fsync(descriptor)
    times.append(time.perf_counter())
    print(json.dumps(dict(zip(("load", "gather", "save", "fsync"), (b - a for a, b in zip(times, times[1:]))))))


main()
