# SPDX-License-Identifier: Apache-2.0
"""One tokenizer worker: python -c THIS tokenizer.json, frames on stdin and stdout, ends when stdin ends.

A frame is a u64 length and that many bytes, little-endian. The first reply comes unasked, when the tokenizer is loaded.
Request: u32 texts; per text i64 bytes, i64 prompt bytes (-1: none), UTF-8.
Reply:   u8 0; per text u32 tokens, u32 index of the first learnt token, u32 each token. Or u8 1 and an error's text.
The other request: u32 DECODE; u32 each token. Its reply: u8 0; their text, special tokens left out, UTF-8.
"""
import array
import os
import signal
import struct
import sys

DECODE = 0xFFFFFFFF

signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program stops its workers itself
os.environ["TOKENIZERS_PARALLELISM"] = "false"  # it runs as many workers as it wants threads


def send(status, payload):
    sys.stdout.buffer.write(struct.pack("<QB", len(payload) + 1, status) + payload)
    sys.stdout.buffer.flush()


def receive():
    head = sys.stdin.buffer.read(8)
    body = sys.stdin.buffer.read(struct.unpack("<Q", head)[0]) if len(head) == 8 else b""
    return body or sys.exit(0)


def load(path):
    try:
        import tokenizers
    except ImportError as error:
        raise RuntimeError(f"the Python package 'tokenizers' is missing; got {error}; expected it in {sys.executable}")
    tokenizer = tokenizers.Tokenizer.from_file(path)
    tokenizer.no_truncation()  # a tokenizer.json may bring both, for models with a fixed window
    tokenizer.no_padding()
    return tokenizer


def texts_of(body):
    (count,) = struct.unpack_from("<I", body)
    at, texts, prompts = 4, [], []
    for _ in range(count):
        size, prompt = struct.unpack_from("<qq", body, at)
        text = body[at + 16 : at + 16 + size]
        at += 16 + size
        texts.append(text.decode())
        prompts.append(len(text[:prompt].decode()) if prompt >= 0 else -1)
    return texts, prompts


def encode(tokenizer, body):
    texts, prompts = texts_of(body)
    # The fast form knows no offsets, and only prompts need them.
    plain = max(prompts, default=-1) < 0 and hasattr(tokenizer, "encode_batch_fast")
    batch = tokenizer.encode_batch_fast if plain else tokenizer.encode_batch
    reply = []
    for encoding, prompt in zip(batch(texts, add_special_tokens=False), prompts):
        ids, learnt_from = encoding.ids, 0
        if prompt >= 0:
            ends = [end for _, end in encoding.offsets]
            learnt_from = next((i for i, end in enumerate(ends) if end > prompt), len(ids))
        reply.append(struct.pack("<II", len(ids), learnt_from))
        reply.append(array.array("I", ids).tobytes())
    return b"".join(reply)


def decode(tokenizer, body):
    return tokenizer.decode(list(struct.unpack(f"<{len(body) // 4}I", body))[1:], skip_special_tokens=True).encode()


def answer(tokenizer, body):
    (kind,) = struct.unpack_from("<I", body)
    return decode(tokenizer, body) if kind == DECODE else encode(tokenizer, body)


try:
    worker = load(sys.argv[1])
    send(0, b"")
    while True:
        send(0, answer(worker, receive()))
except Exception as error:  # the library raises Exception itself
    send(1, str(error).encode())
