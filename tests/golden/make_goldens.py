# SPDX-License-Identifier: Apache-2.0
"""Makes the golden checkpoints of this folder: small random models of every family, as save_pretrained writes them,
and what transformers computes for them in float32 with eager attention.

    python make_goldens.py          needs torch, transformers 5 and safetensors
    python make_goldens.py          under transformers 4: writes config.transformers4.json beside each config.json

Shapes are odd on purpose: head_dim is not hidden / heads, groups of 1, 2 and all heads, windows shorter than the
sequence, scaled rotation that matters at short distances.
"""

import pathlib

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
BATCH, LENGTH = 2, 19

LLAMA3 = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=3.0,
              original_max_position_embeddings=24)


def sizes(layers, hidden, heads, kv_heads, head_dim, ffn, vocab, **more):
    return dict(num_hidden_layers=layers, hidden_size=hidden, num_attention_heads=heads, num_key_value_heads=kv_heads,
                head_dim=head_dim, intermediate_size=ffn, vocab_size=vocab, max_position_embeddings=64,
                bos_token_id=1, eos_token_id=2, **more)


# name: model type, stored dtype, shard size, config
CASES = {
    "llama-llama3": ("llama", "float32", None, dict(
        **sizes(2, 24, 4, 2, 10, 28, 61), rms_norm_eps=1e-5, rope_theta=500.0, rope_scaling=LLAMA3)),
    "llama-bias-tied-linear": ("llama", "bfloat16", None, dict(
        **sizes(2, 24, 3, 3, 6, 20, 67), attention_bias=True, mlp_bias=True, tie_word_embeddings=True,
        rope_scaling=dict(rope_type="linear", factor=2.5))),
    "mistral-window": ("mistral", "float32", "12KB", dict(
        **sizes(3, 22, 4, 1, 6, 26, 61), sliding_window=5, rope_theta=1000.0)),
    "mistral-full": ("mistral", "float16", None, dict(
        **sizes(2, 30, 4, 2, 10, 26, 71), sliding_window=None, rms_norm_eps=1e-5)),
    "qwen2-window-tied": ("qwen2", "bfloat16", None, dict(
        **sizes(3, 24, 4, 2, 8, 26, 61), use_sliding_window=True, sliding_window=4, max_window_layers=1,
        tie_word_embeddings=True)),
    "qwen2-plain": ("qwen2", "float32", None, dict(
        **sizes(2, 24, 6, 2, 4, 26, 61), rope_theta=1000000.0)),
    "qwen3-bias-tied": ("qwen3", "float16", None, dict(
        **sizes(2, 20, 4, 4, 6, 26, 61), attention_bias=True, tie_word_embeddings=True)),
    "qwen3-mixed-windows": ("qwen3", "float32", None, dict(
        **sizes(3, 26, 4, 2, 6, 22, 61), use_sliding_window=True, sliding_window=6,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"])),
    "nemotron-plain": ("nemotron", "float32", None, dict(
        **sizes(2, 22, 4, 2, 12, 30, 61), norm_eps=1e-5, partial_rotary_factor=0.5)),
    "nemotron-bias-tied": ("nemotron", "bfloat16", None, dict(
        **sizes(2, 24, 4, 1, 8, 26, 61), attention_bias=True, mlp_bias=True, tie_word_embeddings=True,
        partial_rotary_factor=0.25)),
}


def randomise(model, seed):
    """Weights that make every part matter: norms away from identity, biases away from zero."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name and name.endswith("weight"):
            middle = 0.0 if model.config.model_type == "nemotron" else 1.0
            parameter.data.copy_(middle + 0.2 * noise)
        elif parameter.dim() == 1:
            parameter.data.copy_(0.2 * noise)
        else:
            scale = 1.0 if "embed_tokens" in name else parameter.shape[1] ** -0.5
            if model.config.tie_word_embeddings and "embed_tokens" in name:
                scale = 0.3
            parameter.data.copy_(scale * noise)


def expected(folder, vocab, seed):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokens = torch.randint(0, vocab, (BATCH, LENGTH), generator=torch.Generator().manual_seed(1000 + seed))
    with torch.no_grad():
        logits = model(tokens).logits
    nll = torch.nn.functional.cross_entropy(
        logits[:, :-1].reshape(-1, vocab), tokens[:, 1:].reshape(-1), reduction="none").view(BATCH, LENGTH - 1)
    save_file({"tokens": tokens, "logits": logits.contiguous(), "nll": nll.contiguous()},
              folder / "expected.safetensors")
    return nll.mean().item()


def main():
    old = int(transformers.__version__.split(".")[0]) < 5
    for seed, (name, (model_type, dtype, shard, settings)) in enumerate(CASES.items()):
        folder = HERE / name
        config = AutoConfig.for_model(model_type, **settings)
        if old:
            config.architectures = [type(AutoModelForCausalLM.from_config(config)).__name__]
            config.dtype = dtype
            config.to_json_file(folder / "config.transformers4.json")
            continue
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        randomise(model, seed)
        model = model.to(getattr(torch, dtype))
        model.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
        print(f"{name}: nll {expected(folder, settings['vocab_size'], seed):.4f}")
        for file in folder.iterdir():
            file.chmod(0o644)  # safetensors writes 0600


if __name__ == "__main__":
    main()
