# SPDX-License-Identifier: Apache-2.0
"""Loads a Hugging Face folder in transformers and prints its accuracies in a choice task as JSON: bytes as tokens, lines
with "prompt" and "choices", no shots, one row without padding for each choice.

    python check_task.py FOLDER TASK.jsonl
"""

import json
import pathlib
import sys
import warnings

import torch
import transformers
from transformers import AutoModelForCausalLM


def score(model, prompt, choice):
    """The sum of log p of the choice's bytes."""
    tokens = torch.tensor([list((prompt + choice).encode())])
    given = len(prompt.encode())
    log_p = model(tokens).logits[0].double().log_softmax(-1)
    return sum(log_p[at - 1, tokens[0, at]].item() for at in range(given, tokens.shape[1]))


def main():
    folder, task = sys.argv[1:]
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    items = [json.loads(line) for line in pathlib.Path(task).read_text().splitlines()]
    right = right_norm = 0
    with torch.no_grad():
        for item in items:
            scores = [score(model, item["prompt"], choice) for choice in item["choices"]]
            normed = [one / len(choice.encode()) for one, choice in zip(scores, item["choices"])]
            right += scores.index(max(scores)) == item["answer"]
            right_norm += normed.index(max(normed)) == item["answer"]
    print(json.dumps({"accuracy": right / len(items), "accuracy_norm": right_norm / len(items)}))


if __name__ == "__main__":
    main()
