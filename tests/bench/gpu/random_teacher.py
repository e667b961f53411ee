# SPDX-License-Identifier: Apache-2.0
"""Writes a Llama of random weights in bfloat16, in a process of its own: whatever it takes of the device is free again afterwards.

    random_teacher.py FOLDER NAME cuda|cpu        NAME: of a model or a pair of shapes.py
"""
import sys

import torch
from shapes import MODELS, PAIRS
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging


def main():
    folder, name, device = sys.argv[1:]
    shape = MODELS[name] if name in MODELS else PAIRS[name].teacher
    config = LlamaConfig(hidden_size=shape.hidden, intermediate_size=shape.ffn, num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
                         num_key_value_heads=shape.groups, head_dim=shape.head_dim, vocab_size=shape.vocab, tie_word_embeddings=shape.tied,
                         max_position_embeddings=8192, dtype=torch.bfloat16)
    logging.disable_progress_bar()
    torch.manual_seed(1)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model = LlamaForCausalLM(config)
    with torch.no_grad():  # channels differ, as in a model that was trained: ranks of equals would say nothing
        for name, weight in model.named_parameters():
            if name.endswith("norm.weight"):
                weight.copy_(torch.randn(weight.shape, dtype=torch.float32, device=device).mul(0.3).exp())
    model.save_pretrained(folder, max_shard_size="5GB")


main()
