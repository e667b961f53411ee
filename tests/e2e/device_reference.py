# SPDX-License-Identifier: Apache-2.0
"""What device_test.py compares with, in transformers and PyTorch: distillation, losses and next tokens, on the same device in the same dtype.

    device_reference.py JOB.json

JOB: device, dtype, seq_length, and what is asked for: train, evaluate, follow. Prints one JSON object with an entry for each.
"""
import json
import sys
import warnings

import numpy
import torch
import torch.nn.functional as F
import transformers
from transformers import AutoModelForCausalLM


def load(folder, job):
    dtype = getattr(torch, job["dtype"])
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").to(job["device"])


def windows(path, length):
    tokens = torch.from_numpy(numpy.fromfile(path, dtype="<u2").astype(numpy.int64))
    count = len(tokens) // length
    return tokens[: count * length].view(count, length)


class MasterAdamW:
    """AdamW over float32 masters of weights of any dtype; matrices decay, vectors do not. Gradients of micro-batches are added up in float32."""

    def __init__(self, parameters, job):
        self.parameters = list(parameters)
        self.masters = [p.detach().float().clone() for p in self.parameters]
        groups = [{"params": [m for m in self.masters if (m.dim() >= 2) == matrices], "weight_decay": job["weight_decay"] if matrices else 0.0}
                  for matrices in (True, False)]
        self.inner = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.95), eps=1e-8)
        self.clip = job["clip_grad"]

    def collect(self):
        for master, parameter in zip(self.masters, self.parameters):
            gradient = parameter.grad.float()
            master.grad = gradient if master.grad is None else master.grad + gradient
            parameter.grad = None

    def step(self, rate):
        torch.nn.utils.clip_grad_norm_(self.masters, self.clip)
        for group in self.inner.param_groups:
            group["lr"] = rate
        self.inner.step()
        self.inner.zero_grad(set_to_none=True)
        with torch.no_grad():
            for master, parameter in zip(self.masters, self.parameters):
                parameter.copy_(master)


def train(job, wanted):
    """Forward KL on the windows in the given order, one list entry for each step's loss."""
    teacher, student = load(wanted["teacher"], job).eval().requires_grad_(False), load(wanted["student"], job).train()
    optimizer, data = MasterAdamW(student.parameters(), wanted), windows(wanted["tokens"], job["seq_length"])
    micro, whole = wanted["micro_batch"], wanted["global_batch"]
    losses = []
    for step, rate in enumerate(wanted["rates"]):
        total = 0.0
        for first in range(step * whole, (step + 1) * whole, micro):
            tokens = data[wanted["order"][first : first + micro]].to(job["device"])
            target = F.log_softmax(teacher(input_ids=tokens, use_cache=False).logits.float(), -1)
            logits = student(input_ids=tokens, use_cache=False).logits.float()
            loss = F.kl_div(F.log_softmax(logits, -1), target, reduction="sum", log_target=True) / (whole * job["seq_length"])
            loss.backward()
            optimizer.collect()
            total += loss.item()
        optimizer.step(rate)
        losses.append(total)
    return losses


@torch.no_grad()
def evaluate(job, wanted):
    """Mean nll of non-overlapping windows, each predicting all but its first token."""
    model, total, count = load(wanted["model"], job).eval(), 0.0, 0
    for batch in windows(wanted["tokens"], job["seq_length"]).split(16):
        batch = batch.to(job["device"])
        logits = model(input_ids=batch, use_cache=False).logits[:, :-1].float()
        total += F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten(), reduction="sum").item()
        count += batch[:, 1:].numel()
    return total / count


@torch.no_grad()
def follow(job, wanted):
    """Behind each prefix of each text, from `begin` on, without a cache: how far the logit of the text's next token is below the largest."""
    model, found = load(wanted["model"], job).eval(), []
    for text in wanted["texts"]:
        tokens = torch.tensor([text["tokens"]], device=job["device"])
        logits = model(input_ids=tokens, use_cache=False).logits[0, text["begin"] - 1 : -1].float()
        chosen = logits.gather(1, tokens[0, text["begin"] :].unsqueeze(1)).squeeze(1)
        found.append((logits.amax(1) - chosen).tolist())
    return found


def main():
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    with open(sys.argv[1]) as file:
        job = json.load(file)
    if job.get("threads"):
        torch.set_num_threads(job["threads"])
    print(json.dumps({name: work(job, job[name]) for name, work in (("train", train), ("evaluate", evaluate), ("follow", follow)) if name in job}))


main()
