# SPDX-License-Identifier: Apache-2.0
"""Loads a Hugging Face folder in transformers and prints the mean nll over a token file as JSON, with the protocol of
`espalier eval`: windows of --seq-length that do not overlap, each predicting its last seq-length − 1 tokens; a rest
shorter than a window is left out. With --ends it also prints, for each document of which a token is predicted, its
index, its summed nll and its predicted tokens.

    python check_export.py FOLDER TOKENS.bin --token-type uint16 --seq-length 64
"""

import argparse
import json
import warnings

import numpy
import torch
import transformers
from transformers import AutoModelForCausalLM


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("tokens")
    parser.add_argument("--token-type", default="uint16", choices=["uint16", "int32"])
    parser.add_argument("--seq-length", type=int, default=64)
    parser.add_argument("--windows", type=int, default=0, help="0: all")
    parser.add_argument("--ends", help="where documents end, as commas between token positions")
    parser.add_argument("--batch", type=int, default=8, help="windows at a time")
    arguments = parser.parse_args()

    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    kind = "<u2" if arguments.token_type == "uint16" else "<i4"
    tokens = torch.from_numpy(numpy.fromfile(arguments.tokens, dtype=kind).astype(numpy.int64))
    count = len(tokens) // arguments.seq_length
    if arguments.windows:
        count = min(count, arguments.windows)
    windows = tokens[: count * arguments.seq_length].view(count, arguments.seq_length)

    model, report = AutoModelForCausalLM.from_pretrained(
        arguments.folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report.get(problem):
            raise SystemExit(f"{arguments.folder}: {problem}; got {sorted(report[problem])}; expected none")
    model.eval()
    total, losses = 0.0, []
    with torch.no_grad():
        for batch in windows.split(arguments.batch):
            logits = model(batch).logits[:, :-1]
            nll = torch.nn.functional.cross_entropy(
                logits.reshape(-1, logits.shape[-1]), batch[:, 1:].reshape(-1), reduction="none")
            total += nll.sum().item()
            losses.append(nll.double())
    predicted = count * (arguments.seq_length - 1)
    documents = {}
    if arguments.ends:
        ends = torch.tensor([int(end) for end in arguments.ends.split(",")])
        places = torch.arange(count * arguments.seq_length).view(count, -1)[:, 1:].reshape(-1)
        owners = torch.bucketize(places, ends, right=True)
        losses = torch.cat(losses)
        documents = {"documents": [[d, losses[owners == d].sum().item(), int((owners == d).sum())] for d in owners.unique().tolist()]}
    print(json.dumps({**documents, "nll": total / predicted, "tokens": predicted, "windows": count,
                      "parameters": sum(p.numel() for p in model.parameters()),
                      "transformers": transformers.__version__}))


if __name__ == "__main__":
    main()
