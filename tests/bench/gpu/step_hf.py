# SPDX-License-Identifier: Apache-2.0
"""Distillation steps as published trainers write them: transformers, forward KL, AdamW over float32 masters.

    step_hf.py eager|compile|liger TEACHER STUDENT TOKENS LENGTH MICRO_BATCH GLOBAL_BATCH STEPS cuda|cpu

eager: full logits in float32 and F.kl_div. compile: the same with both models' layers compiled. liger: compile, with Liger's layers and its
fused linear loss (JSD with beta 0 is the forward KL). On a GPU attention is whatever scaled_dot_product_attention takes unless
ATTENTION=cudnn. Prints one JSON object: seconds of each step, losses, peak bytes.
"""
import json
import os
import resource
import sys
import time

import numpy
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AutoModelForCausalLM


def full_logits(student, teacher, tokens, rows):
    with torch.no_grad():
        target = F.log_softmax(teacher(input_ids=tokens, use_cache=False).logits.float().flatten(0, 1), -1)
    logits = student(input_ids=tokens, use_cache=False).logits.float().flatten(0, 1)
    return F.kl_div(F.log_softmax(logits, -1), target, reduction="sum", log_target=True) / rows


def fused_head(student, teacher, tokens, rows):
    from liger_kernel.transformers.fused_linear_jsd import LigerFusedLinearJSD

    with torch.no_grad():
        theirs = teacher.model(input_ids=tokens, use_cache=False).last_hidden_state.flatten(0, 1)
    ours = student.model(input_ids=tokens, use_cache=False).last_hidden_state.flatten(0, 1)
    loss = LigerFusedLinearJSD(jsd_beta=0.0)(ours, student.lm_head.weight, theirs, teacher.lm_head.weight)
    return loss * ours.shape[0] / rows


class MasterAdamW:
    """float32 masters and moments over weights of any dtype, in fused calls."""

    def __init__(self, parameters):
        self.parameters = list(parameters)
        self.masters = [p.detach().float().clone() for p in self.parameters]
        self.inner = torch.optim.AdamW(self.masters, lr=1e-5, betas=(0.9, 0.95), weight_decay=0.1, fused=True)

    def step(self):
        for master, parameter in zip(self.masters, self.parameters):
            master.grad = parameter.grad.float()
        torch.nn.utils.clip_grad_norm_(self.masters, 1.0)
        self.inner.step()
        torch._foreach_copy_([p.detach() for p in self.parameters], self.masters)
        for parameter in self.parameters:
            parameter.grad = None


def load(path, device, dtype, layers):
    if layers:
        from liger_kernel.transformers import apply_liger_kernel_to_llama

        apply_liger_kernel_to_llama(fused_linear_cross_entropy=False)
    return AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation="sdpa").to(device)


def run(how, teacher_path, student_path, tokens_path, length, micro, whole, steps, device):
    cuda = device == "cuda"
    dtype = torch.bfloat16 if cuda else torch.float32
    teacher, student = (load(path, device, dtype, how == "liger") for path in (teacher_path, student_path))
    teacher.eval().requires_grad_(False)
    student.train()
    if how != "eager":
        for model in (teacher, student):
            for layer in model.model.layers:
                layer.compile()
    optimizer, loss_of = MasterAdamW(student.parameters()), fused_head if how == "liger" else full_logits
    data = torch.from_numpy(numpy.fromfile(tokens_path, dtype=numpy.int32).astype(numpy.int64))
    seconds, losses = [], []
    for step in range(steps):
        start, total = time.perf_counter(), 0.0
        for first in range(0, whole, micro):
            begin = (step * whole + first) * length
            tokens = data[begin : begin + micro * length].view(micro, length).to(device)
            loss = loss_of(student, teacher, tokens, whole * length)
            loss.backward()
            total = total + loss.detach()
        optimizer.step()
        losses.append(float(total))  # waits for the device
        seconds.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "losses": losses, "peak_bytes": peak}


def main():
    how, teacher, student, tokens, length, micro, whole, steps, device = sys.argv[1:]
    arguments = (how, teacher, student, tokens, int(length), int(micro), int(whole), int(steps), device)
    if os.environ.get("ATTENTION") == "cudnn":
        with sdpa_kernel([SDPBackend.CUDNN_ATTENTION]):
            result = run(*arguments)
    else:
        result = run(*arguments)
    print(json.dumps(result))


main()
