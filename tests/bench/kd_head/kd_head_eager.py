# SPDX-License-Identifier: Apache-2.0
"""The distillation head as published trainers write it: full logits of both models, F.kl_div, backward.

    kd_head_eager.py VOCAB HIDDEN_STUDENT HIDDEN_TEACHER ROWS CHUNK REPEATS [cpu|cuda [eager|liger]]

Output as kd_head_bench; CHUNK is not used. liger: Liger's fused linear JSD with beta 0, the forward KL.
"""
import json
import resource
import sys
import time

import torch
import torch.nn.functional as F


def wave(rows, columns, pitch, scale, device):
    values = torch.arange(rows * columns, dtype=torch.float64).mul_(pitch).sin_().mul_(scale)
    return values.float().view(rows, columns).to(device, torch.bfloat16 if device == "cuda" else torch.float32)


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def full_logits(ours, theirs, student_weight, teacher_weight):
    with torch.no_grad():
        teacher_logits = F.linear(theirs, teacher_weight).float()
    student_logits = F.linear(ours, student_weight).float()
    return F.kl_div(F.log_softmax(student_logits, -1), F.log_softmax(teacher_logits, -1), reduction="sum", log_target=True) / ours.shape[0]


def liger():
    from liger_kernel.transformers.fused_linear_jsd import LigerFusedLinearJSD

    fused = LigerFusedLinearJSD(jsd_beta=0.0)
    return lambda ours, theirs, student_weight, teacher_weight: fused(ours, student_weight, theirs, teacher_weight)


def main():
    vocab, student, teacher, rows, _, repeats = map(int, sys.argv[1:7])
    device, how = (sys.argv[7:] + ["cpu", "eager"][len(sys.argv[7:]) :])[:2]
    loss_of = liger() if how == "liger" else full_logits
    student_hidden = wave(rows, student, 0.7071, 1.0, device).requires_grad_()
    teacher_hidden = wave(rows, teacher, 0.5003, 1.0, device)
    student_weight = wave(vocab, student, 1.3007, 4.0 / student**0.5, device).requires_grad_()
    teacher_weight = wave(vocab, teacher, 1.1003, 4.0 / teacher**0.5, device)
    student_weight.grad = torch.zeros_like(student_weight)

    gpu = device == "cuda"
    before = torch.cuda.max_memory_allocated() if gpu else resident_bytes()
    seconds = []
    for i in range(repeats + 1):
        start = time.perf_counter()
        student_hidden.grad = None
        loss = loss_of(student_hidden, teacher_hidden, student_weight, teacher_weight)
        loss.backward()
        norm = student_hidden.grad.float().norm().item()  # a GPU is done when it is known
        if i > 0:
            seconds.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() if gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "loss": loss.item(), "gradient": norm, "peak_bytes": peak - before}))


main()
