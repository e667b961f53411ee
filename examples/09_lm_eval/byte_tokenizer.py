# SPDX-License-Identifier: Apache-2.0
"""Copies an export whose tokens are bytes and puts a tokenizer.json beside it that says so, for programs which need one:
tokens 0 to 255 are the bytes, 256 ends a document.

    python byte_tokenizer.py EXPORT COPY
"""

import json
import pathlib
import shutil
import sys

import tokenizers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

END = "<end of document>"


def letters():
    """The character that byte-level tokenizers write for each byte: itself where it can be seen, else one from 256 on."""
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = iter(range(256, 512))
    return {byte: chr(byte) if byte in seen else chr(next(hidden)) for byte in range(256)}


def byte_tokenizer():
    tokenizer = Tokenizer(models.BPE(vocab={letter: byte for byte, letter in letters().items()}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END, special=True, normalized=False)])
    every = tokenizer.encode("".join(map(chr, range(128))) + "äß€😀").ids
    assert every == list(("".join(map(chr, range(128))) + "äß€😀").encode()), every
    assert tokenizer.token_to_id(END) == 256, tokenizers.__version__
    return tokenizer


def main():
    export, copy = map(pathlib.Path, sys.argv[1:])
    shutil.copytree(export, copy, dirs_exist_ok=True)
    byte_tokenizer().save(str(copy / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "clean_up_tokenization_spaces": False}
    (copy / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


if __name__ == "__main__":
    main()
