# SPDX-License-Identifier: Apache-2.0
"""What `espalier eval MODEL --speed` does, with transformers in eager PyTorch: the same prompt, the same greedy decoding with
a cache, the same clock. Prints one JSON object with the least and the median seconds of the first token and of the rest.

    python decode_eager.py MODEL THREADS BATCH PROMPT_TOKENS NEW_TOKENS REPEATS
    python decode_eager.py --random FOLDER LAYERS HIDDEN FFN HEADS KV_GROUPS VOCAB      writes a Llama of random weights
"""

import json
import statistics
import sys
import time

import torch
import transformers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM


def write_random(folder, layers, hidden, ffn, heads, groups, vocab):
    torch.manual_seed(1)
    LlamaForCausalLM(LlamaConfig(num_hidden_layers=layers, hidden_size=hidden, intermediate_size=ffn, num_attention_heads=heads,
                                 num_key_value_heads=groups, vocab_size=vocab, max_position_embeddings=2048)).save_pretrained(folder)


@torch.inference_mode()
def generate(model, prompt, new_tokens):
    start = time.perf_counter()
    state = model(prompt, use_cache=True, logits_to_keep=1)
    chosen = state.logits[:, -1].argmax(-1, keepdim=True)
    tokens = [chosen.tolist()]
    first, start = time.perf_counter() - start, time.perf_counter()
    for _ in range(new_tokens - 1):
        state = model(chosen, past_key_values=state.past_key_values, use_cache=True, logits_to_keep=1)
        chosen = state.logits[:, -1].argmax(-1, keepdim=True)
        tokens.append(chosen.tolist())
    return first, time.perf_counter() - start


def main():
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if sys.argv[1] == "--random":
        write_random(sys.argv[2], *map(int, sys.argv[3:]))
        return
    threads, batch, prompt_tokens, new_tokens, repeats = map(int, sys.argv[2:])
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
    prompt = (torch.arange(batch * prompt_tokens) % model.config.vocab_size).view(batch, prompt_tokens)
    seconds = [generate(model, prompt, new_tokens) for _ in range(repeats + 1)][1:]  # the first warms up
    first, rest = zip(*seconds)
    print(json.dumps({"first": [min(first), statistics.median(first)], "rest": [min(rest), statistics.median(rest)]}))


main()
