# SPDX-License-Identifier: Apache-2.0
"""The models, tokens and recipes of device_test.py, in two sizes: the quick start's for a GPU, and one that two cores train in seconds."""

import dataclasses
import json
import pathlib
import random
import struct

from workspace import SOURCE

ITEMS = 40  # of the choice task
END = 256  # the byte tokenizer's end of a document


@dataclasses.dataclass(frozen=True)
class Size:
    layers: int
    hidden: int
    heads: int
    kv_groups: int
    head_dim: int
    ffn: int
    keep_hidden: int
    keep_ffn: int
    length: int
    global_batch: int
    micro_batch: int
    teacher_steps: int
    steps: int
    samples: int
    train_bytes: int
    valid_windows: int


QUICK_START = Size(layers=6, hidden=128, heads=4, kv_groups=2, head_dim=32, ffn=384, keep_hidden=96, keep_ffn=216, length=256,
                   global_batch=8, micro_batch=4, teacher_steps=1000, steps=200, samples=128, train_bytes=3_000_000, valid_windows=256)
SMALL = Size(layers=4, hidden=64, heads=4, kv_groups=2, head_dim=16, ffn=160, keep_hidden=48, keep_ffn=96, length=64,
             global_batch=8, micro_batch=4, teacher_steps=100, steps=60, samples=48, train_bytes=100_000, valid_windows=96)


def write_tokens(folder, size):
    """Bytes of the quick start's corpus, LibTorch's headers, as raw tokens: train.bin, and valid.bin of other files."""
    headers = sorted(SOURCE.glob(".venv/lib/python3*/site-packages/torch/include/ATen/*.h"))
    for name, files, count in (("train.bin", headers[::2], size.train_bytes), ("valid.bin", headers[1::2], size.valid_windows * size.length)):
        tokens = []
        for file in files:
            tokens += [*file.read_bytes().decode("ascii", "ignore").encode(), END]
            if len(tokens) >= count:
                break
        (folder / name).write_bytes(struct.pack(f"<{len(tokens[:count])}H", *tokens[:count]))


def write_task(folder, items=ITEMS):
    """Which of two bytes follows a line's beginning: the header's own, or another."""
    draw, text = random.Random(4), sorted(SOURCE.glob(".venv/lib/python3*/site-packages/torch/include/ATen/*.h"))[0].read_text()
    words = sorted({word for word in text.split() if word.isalpha() and len(word) > 3})
    lines = []
    for i in range(items):
        word = draw.choice(words)
        wrong, answer = "".join(draw.sample(word[-3:], 3)), i % 2
        choices = [wrong + "_", word[-3:] + " "]
        lines.append({"prompt": word[:-3], "choices": choices if answer else choices[::-1], "answer": answer})
    (folder / "words.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def data(size):
    return f"""
[data]
train      = "train.bin"
valid      = "valid.bin"
token_type = "uint16"
tokenizer  = "bytes"
seq_length = {size.length}
[score]
samples     = {size.samples}
micro_batch = 5
[export]
dtype = "float32"
"""


def training(table, size, steps, losses, more=""):
    return f"""
[{table}]
steps        = {steps}
global_batch = {size.global_batch}
micro_batch  = {size.micro_batch}
losses       = [ {losses} ]
scheduler    = {{ name = "cosine", peak = 2e-3, min = 1e-4, warmup_steps = 6 }}
save_every   = {max(steps // 4, 1)}
eval_every   = {max(steps // 2, 1)}
log_every    = 1
{more}
"""


def prune(axis, keep, metric, more=""):
    return f'[[prune]]\naxis = "{axis}"\nkeep = {keep}\nmetric = {{ {metric} }}\n{more}\n'


def spec_of(size, vocab):
    return f"""
schema = 1
[teacher]
spec = {{ family = "llama", layers = {size.layers}, hidden = {size.hidden}, heads = {size.heads}, kv_groups = {size.kv_groups}, head_dim = {size.head_dim}, ffn = {size.ffn}, vocab = {vocab}, tied = false, max_positions = {2 * size.length} }}
"""


def teacher(size):
    return spec_of(size, 257) + data(size) + training("correct", size, size.teacher_steps, '{ name = "cross_entropy" }')


def cut(size):
    """The teacher cut by width: scored, sliced and verified."""
    return 'schema = 1\n[teacher]\npath = "runs/teacher"\n' + data(size) + prune("hidden", size.keep_hidden, 'name = "activation"') + prune(
        "ffn", size.keep_ffn, 'name = "wanda"')


def distill(size, steps, losses, more=""):
    """A student as it was cut, taught by the teacher."""
    return 'schema = 1\n[teacher]\npath = "first/cut/student"\n' + data(size) + training(
        "distill", size, steps, losses, f'teacher = "runs/teacher"\n{more}')


def sweep(size):
    """Two sizes with two seeds each."""
    arms = "".join(f'[[sweep.arm]]\nname = "{name}"\nprune = [ {{ axis = "ffn", keep = {keep}, metric = {{ name = "random" }} }} ]\n'
                   for name, keep in (("more", size.keep_ffn), ("less", size.keep_ffn // 2)))
    return 'schema = 1\n[teacher]\npath = "runs/teacher"\n' + data(size) + training("distill", size, 2, '{ name = "kl" }') + (
        "[sweep]\nseeds = [1, 2]\n" + arms)


def all_scores(size):
    """Every way of collecting evidence; nothing is cut."""
    layers = [prune("layers", size.layers, metric) for metric in ('name = "block_influence"', 'name = "loss_drop"', 'name = "task_drop", file = "words.jsonl"')]
    return 'schema = 1\n[teacher]\npath = "runs/teacher"\n' + data(size) + "".join(layers) + prune("hidden", size.hidden, 'name = "activation"') + prune(
        "ffn", size.ffn, 'name = "wanda"') + prune("heads", size.heads, 'name = "taylor"') + prune("kv_groups", size.kv_groups, 'name = "magnitude"')


LARGE = Size(layers=8, hidden=1024, heads=16, kv_groups=8, head_dim=64, ffn=3072, keep_hidden=1024, keep_ffn=2048, length=512, global_batch=16,
             micro_batch=16, teacher_steps=3, steps=3, samples=1, train_bytes=1 << 16, valid_windows=0)
MEDIUM = dataclasses.replace(LARGE, layers=4, hidden=256, heads=8, kv_groups=2, head_dim=32, ffn=768, keep_ffn=512, length=256, global_batch=8, micro_batch=8)


def large(root, size):
    """Models whose tensors are large against what an allocator rounds, for the memory of a step: a teacher's few steps, and a student's under
    each setting that changes what they need."""
    vocab = 8 * size.hidden
    draw = random.Random(1)
    tokens = [draw.randrange(vocab) for _ in range(size.train_bytes)]
    (root / "large.bin").write_bytes(struct.pack(f"<{len(tokens)}H", *tokens))
    common = data(size).replace("train.bin", "large.bin").replace('valid      = "valid.bin"\n', "")
    first = spec_of(size, vocab) + common + training("correct", size, size.steps, '{ name = "cross_entropy" }')

    def second(losses, size=size, more="", axis="ffn", keep=size.keep_ffn):
        return 'schema = 1\n[teacher]\npath = "large/teacher"\n' + common + prune(axis, keep, 'name = "random"') + training(
            "distill", size, size.steps, losses, more)

    kl = '{ name = "kl" }'
    return {"teacher": first, "kl": second(kl), "layers": second(kl, more='recompute = "layers"'), "cheap": second(kl, more='recompute = "cheap"'),
            "one": second(kl, dataclasses.replace(size, micro_batch=1)), "narrow": second(kl, more='optimizer = { moments = "bfloat16", gradients = "bfloat16" }'), "unfused": second('{ name = "jsd" }'),
            "features": second(kl + ', { name = "hidden_mse" }'),
            "projected": second('{ name = "hidden_mse", map = "uniform" }', axis="hidden", keep=size.hidden // 4 * 3)}


def read_floats(path):
    """Name → list of numbers of a safetensors file of float32."""
    found = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", found[:8])
    header, body = json.loads(found[8 : 8 + length]), found[8 + length :]
    header.pop("__metadata__", None)
    return {name: list(struct.unpack(f"<{(e - b) // 4}f", body[b:e])) for name, (b, e) in ((n, i["data_offsets"]) for n, i in header.items())}


def order_of(cache):
    """The windows of a teacher's cache as training sees them first: its shards list them so."""
    order = []
    for path in sorted(pathlib.Path(cache).glob("shard-*.safetensors")):
        found = path.read_bytes()
        (length,) = struct.unpack("<Q", found[:8])
        begin, end = json.loads(found[8 : 8 + length])["window"]["data_offsets"]
        order += struct.unpack(f"<{(end - begin) // 8}q", found[8 + length + begin : 8 + length + end])
    return order
