# SPDX-License-Identifier: Apache-2.0
"""Loads a Hugging Face folder in transformers and prints what generate(do_sample=False) adds to each prompt as JSON, a
list of lists of tokens; bytes are the prompts' tokens, and no token ends a text.

    python check_generate.py FOLDER NEW_TOKENS PROMPT...
"""

import json
import sys
import warnings

import torch
import transformers
from transformers import AutoModelForCausalLM


def main():
    folder, new_tokens, *prompts = sys.argv[1:]
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    model.generation_config.eos_token_id = model.generation_config.pad_token_id = None
    texts = []
    for prompt in prompts:
        tokens = torch.tensor([list(prompt.encode())])
        grown = model.generate(tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=int(new_tokens))
        texts.append(grown[0, tokens.shape[1]:].tolist())
    print(json.dumps(texts))


if __name__ == "__main__":
    main()
