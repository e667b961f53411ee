# SPDX-License-Identifier: Apache-2.0
"""The same training step in eager PyTorch: full logits, F.kl_div or F.cross_entropy, clipping, fused AdamW.

    train_step_eager.py cross_entropy|kl STEPS
"""
import json
import resource
import sys
import time

import torch
import torch.nn.functional as F

BATCH, SEQUENCE, VOCAB, LAYERS, GROUPS, HEADS, HEAD_DIM = 4, 256, 257, 6, 2, 4, 32


class Llama(torch.nn.Module):
    def __init__(self, hidden, ffn):
        super().__init__()
        linear = lambda i, o: torch.nn.Linear(i, o, bias=False)
        self.embed = torch.nn.Embedding(VOCAB, hidden)
        torch.nn.init.normal_(self.embed.weight, std=0.1)
        self.layers = torch.nn.ModuleList()
        for _ in range(LAYERS):
            layer = torch.nn.Module()
            layer.norm1, layer.norm2 = torch.nn.RMSNorm(hidden, eps=1e-5), torch.nn.RMSNorm(hidden, eps=1e-5)
            layer.q, layer.k, layer.v = (linear(hidden, n * HEAD_DIM) for n in (HEADS, GROUPS, GROUPS))
            layer.o = linear(HEADS * HEAD_DIM, hidden)
            layer.gate, layer.up, layer.down = linear(hidden, ffn), linear(hidden, ffn), linear(ffn, hidden)
            self.layers.append(layer)
        self.norm = torch.nn.RMSNorm(hidden, eps=1e-5)
        angles = torch.outer(torch.arange(SEQUENCE), 10000.0 ** (-torch.arange(0, HEAD_DIM, 2) / HEAD_DIM))
        self.cos, self.sin = torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin()

    def rotate(self, x):
        low, high = x.chunk(2, -1)
        return x * self.cos + torch.cat([-high, low], -1) * self.sin

    def forward(self, tokens):
        x = self.embed(tokens)
        for layer in self.layers:
            y = layer.norm1(x)
            q, k, v = (p(y).unflatten(-1, (-1, HEAD_DIM)).transpose(1, 2) for p in (layer.q, layer.k, layer.v))
            o = F.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v, is_causal=True, enable_gqa=True)
            x = x + layer.o(o.transpose(1, 2).flatten(2))
            y = layer.norm2(x)
            x = x + layer.down(F.silu(layer.gate(y)) * layer.up(y))
        return F.linear(self.norm(x), self.embed.weight)


def main():
    loss_name, steps = sys.argv[1], int(sys.argv[2])
    torch.manual_seed(1)
    large, small = Llama(128, 384), Llama(96, 192)
    student, teacher = (small, large) if loss_name == "kl" else (large, None)
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    data = torch.randint(0, 256, (steps, BATCH, SEQUENCE + 1))
    seconds = []
    for step in range(steps):
        start = time.perf_counter()
        tokens, labels = data[step, :, :-1], data[step, :, 1:]
        logits = student(tokens)
        if teacher is None:
            loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        else:
            with torch.no_grad():
                target = F.log_softmax(teacher(tokens), -1)
            loss = F.kl_div(F.log_softmax(logits, -1), target, reduction="sum", log_target=True) / labels.numel()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        value = loss.item()
        if step > 0:
            seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"tokens": BATCH * SEQUENCE, "seconds": seconds, "loss": value, "peak_bytes": peak}))


main()
