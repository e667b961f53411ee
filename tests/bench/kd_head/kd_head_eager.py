# SPDX-License-Identifier: Apache-2.0
"""The distillation head in eager PyTorch, as published trainers write it: full logits of both models, F.kl_div, backward.

Arguments and output as kd_head_bench; CHUNK is not used.
"""
import json
import resource
import sys
import time

import torch
import torch.nn.functional as F


def wave(rows, columns, pitch, scale):
    values = torch.arange(rows * columns, dtype=torch.float64).mul_(pitch).sin_().mul_(scale)
    return values.float().view(rows, columns)


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def main():
    vocab, student, teacher, rows, _, repeats = map(int, sys.argv[1:])
    student_hidden = wave(rows, student, 0.7071, 1.0).requires_grad_()
    teacher_hidden = wave(rows, teacher, 0.5003, 1.0)
    student_weight = wave(vocab, student, 1.3007, 4.0 / student**0.5).requires_grad_()
    teacher_weight = wave(vocab, teacher, 1.1003, 4.0 / teacher**0.5)
    student_weight.grad = torch.zeros_like(student_weight)

    before = resident_bytes()
    seconds = []
    for i in range(repeats + 1):
        start = time.perf_counter()
        student_hidden.grad = None
        with torch.no_grad():
            teacher_logits = F.linear(teacher_hidden, teacher_weight)
        student_logits = F.linear(student_hidden, student_weight)
        loss = F.kl_div(
            F.log_softmax(student_logits, -1), F.log_softmax(teacher_logits, -1), reduction="sum", log_target=True
        ) / rows
        loss.backward()
        del student_logits, teacher_logits
        if i > 0:
            seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "loss": loss.item(), "gradient": student_hidden.grad.norm().item(),
                      "peak_bytes": peak - before}))


main()
