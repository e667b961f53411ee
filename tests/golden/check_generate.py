# SPDX-License-Identifier: Apache-2.0
"""Loads Hugging Face folders in transformers and prints what generate(do_sample=False) adds to each prompt as JSON, for
each folder a list of lists of tokens; bytes are the prompts' tokens, and no token ends a text.

    python check_generate.py NEW_TOKENS FOLDER... -- PROMPT...
"""

import json
import sys
import warnings

import torch
import transformers
from transformers import AutoModelForCausalLM


def generate(folder, new_tokens, prompts):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    model.generation_config.eos_token_id = model.generation_config.pad_token_id = None
    texts = []
    for prompt in prompts:
        tokens = torch.tensor([list(prompt.encode())])
        grown = model.generate(tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=new_tokens)
        texts.append(grown[0, tokens.shape[1]:].tolist())
    return texts


def main():
    new_tokens, *words = sys.argv[1:]
    folders, prompts = words[:words.index("--")], words[words.index("--") + 1:]
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    print(json.dumps([generate(folder, int(new_tokens), prompts) for folder in folders]))


if __name__ == "__main__":
    main()
