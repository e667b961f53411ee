# SPDX-License-Identifier: Apache-2.0
"""The model of forward_bench.cpp in eager PyTorch, as one would write it: the same shapes, steps and clock.

    python forward_eager.py STEPS THREADS
"""

import json
import sys
import time

import torch
import torch.nn.functional as F

LAYERS, HIDDEN, FFN, HEADS, GROUPS, HEAD_DIM, VOCAB = 6, 128, 384, 4, 2, 32, 257
BATCH, SEQUENCE = 4, 256


def matrix(rows, columns):
    return (torch.randn(rows, columns) * columns**-0.5).requires_grad_()


def ones():
    return torch.ones(HIDDEN, requires_grad=True)


def layer():
    return {"attn_norm": ones(), "q": matrix(HEADS * HEAD_DIM, HIDDEN), "k": matrix(GROUPS * HEAD_DIM, HIDDEN),
            "v": matrix(GROUPS * HEAD_DIM, HIDDEN), "o": matrix(HIDDEN, HEADS * HEAD_DIM), "mlp_norm": ones(),
            "gate": matrix(FFN, HIDDEN), "up": matrix(FFN, HIDDEN), "down": matrix(HIDDEN, FFN)}


def rms_norm(x, weight):
    return F.rms_norm(x, (HIDDEN,), weight, 1e-6)


def rotate(x, cos, sin):
    half = HEAD_DIM // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


def logits(tokens, model, cos, sin):
    def split(x, heads):
        return x.view(BATCH, SEQUENCE, heads, HEAD_DIM).transpose(1, 2)

    x = F.embedding(tokens, model["embed"])
    for w in model["layers"]:
        y = rms_norm(x, w["attn_norm"])
        q, k = split(F.linear(y, w["q"]), HEADS), split(F.linear(y, w["k"]), GROUPS)
        o = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), split(F.linear(y, w["v"]), GROUPS),
                                           is_causal=True, enable_gqa=True)
        x = x + F.linear(o.transpose(1, 2).reshape(BATCH, SEQUENCE, -1), w["o"])
        y = rms_norm(x, w["mlp_norm"])
        x = x + F.linear(F.silu(F.linear(y, w["gate"])) * F.linear(y, w["up"]), w["down"])
    return F.linear(rms_norm(x, model["final_norm"]), model["head"])


def best_seconds(steps, step):
    seconds = []
    for _ in range(steps + 1):
        begin = time.process_time()
        step()
        seconds.append(time.process_time() - begin)
    return min(seconds[1:])


def main():
    steps, threads = int(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(threads)
    model = {"embed": torch.randn(VOCAB, HIDDEN).requires_grad_(), "layers": [layer() for _ in range(LAYERS)],
             "final_norm": ones(), "head": matrix(VOCAB, HIDDEN)}
    parameters = [model["embed"], model["final_norm"], model["head"]]
    parameters += [tensor for w in model["layers"] for tensor in w.values()]
    tokens = torch.randint(0, VOCAB, (BATCH, SEQUENCE))
    angles = torch.outer(torch.arange(SEQUENCE), 10000.0 ** (-torch.arange(0, HEAD_DIM, 2) / HEAD_DIM)).repeat(1, 2)
    cos, sin = angles.cos(), angles.sin()

    def both():
        rows = logits(tokens, model, cos, sin)[:, :-1].reshape(-1, VOCAB)
        F.cross_entropy(rows, tokens[:, 1:].reshape(-1)).backward()
        for parameter in parameters:
            parameter.grad = None

    with torch.no_grad():
        forward = best_seconds(steps, lambda: logits(tokens, model, cos, sin))
    print(json.dumps({"forward": forward, "forward_backward": best_seconds(steps, both),
                      "tokens": BATCH * SEQUENCE}))


if __name__ == "__main__":
    main()
