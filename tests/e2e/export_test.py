# SPDX-License-Identifier: Apache-2.0
"""What we export loads in transformers and gives the same nll there, for every family and after every axis."""

import json
import pathlib
import random
import struct
import subprocess
import sys
import unittest

from workspace import SOURCE, Workspace

GOLDEN = SOURCE / "tests/golden"
PYTHON = SOURCE / ".venv/bin/python"

RECIPE = """
schema = 1
output = "runs/{family}"
[teacher]
path = "{teacher}"
[data]
train      = "tokens.bin"
token_type = "uint16"
seq_length = 16
[score]
samples = 8
[[prune]]
axis = "hidden"
keep = {hidden}
metric = {{ name = "activation" }}
[[prune]]
axis = "ffn"
ratio = 0.5
metric = {{ name = "magnitude" }}
[[prune]]
axis = "layers"
keep = {layers}
metric = {{ name = "block_influence" }}
[distill]
steps = 2
global_batch = 2
micro_batch = 1
losses = [ {{ name = "kl" }} ]
scheduler = {{ name = "constant", peak = 1e-3 }}
eval_every = 0
"""


# Half of each head: another theta, or where half of a head is rotated, another share.
HEAD_DIM = """[[prune]]
axis = "head_dim"
ratio = 0.5
metric = {{ name = "activation" }}
[distill]"""


def loadable():
    return PYTHON.exists() and subprocess.run([str(PYTHON), "-c", "import torch, transformers"], capture_output=True).returncode == 0


class Export(Workspace):
    @unittest.skipUnless(loadable(), "transformers is not in .venv: run `bash setup.sh --tests`")
    def test_transformers_gives_the_same_nll(self):
        seen = set()
        for golden in sorted(path for path in GOLDEN.iterdir() if (path / "config.json").exists()):
            config = json.loads((golden / "config.json").read_text())
            with self.subTest(golden=golden.name):
                self.compare(golden, config)
                seen.add(config["model_type"])
        self.assertEqual(seen, {"llama", "mistral", "qwen2", "qwen3", "nemotron"})

    @unittest.skipUnless(loadable(), "transformers is not in .venv: run `bash setup.sh --tests`")
    def test_transformers_gives_the_same_nll_with_a_smaller_head_dim(self):
        for name in ("llama-llama3", "mistral-window", "qwen3-bias-tied", "nemotron-bias-tied"):
            with self.subTest(golden=name):
                config = json.loads((GOLDEN / name / "config.json").read_text())
                self.compare(GOLDEN / name, config, RECIPE.replace("[distill]", HEAD_DIM))

    def compare(self, golden, config, recipe=RECIPE):
        draw = random.Random(golden.name)
        tokens = [draw.randrange(config["vocab_size"]) for _ in range(16 * 40 + 1)]
        (self.root / "tokens.bin").write_bytes(struct.pack(f"<{len(tokens)}H", *tokens))
        # transformers 5 wants hidden to be a multiple of the number of heads; plan says so, and this test obeys.
        heads = config["num_attention_heads"]
        hidden = max(heads, config["hidden_size"] * 3 // 4 // heads * heads)
        text = recipe.format(family=golden.name, teacher=golden, hidden=hidden, layers=config["num_hidden_layers"] - 1)
        (self.root / "export.toml").write_text(text)
        self.run_program("run", "export.toml")
        ours = json.loads(self.run_program("eval", f"runs/{golden.name}", "--data", "tokens.bin", "--token-type", "uint16",
                                           "--seq-length", "16", "--json").stdout)["nll"]
        theirs = subprocess.run([str(PYTHON), str(GOLDEN / "check_export.py"), f"runs/{golden.name}/export", "tokens.bin", "--token-type",
                                 "uint16", "--seq-length", "16"], cwd=self.root, capture_output=True, text=True)
        self.assertEqual(theirs.returncode, 0, theirs.stderr)
        self.assertAlmostEqual(ours, json.loads(theirs.stdout.splitlines()[-1])["nll"], delta=2e-5)


if __name__ == "__main__":
    unittest.main(verbosity=2)
