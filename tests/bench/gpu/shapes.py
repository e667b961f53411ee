# SPDX-License-Identifier: Apache-2.0
"""Pairs of teacher and student by their published shapes, and what a distilled token costs."""
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Model:
    hidden: int
    ffn: int
    layers: int
    heads: int
    groups: int
    head_dim: int
    vocab: int
    tied: bool = False

    def body(self):
        attention = 2 * self.heads * self.head_dim * self.hidden + 2 * self.groups * self.head_dim * self.hidden
        return self.layers * (attention + 3 * self.hidden * self.ffn)

    def head(self):
        return self.vocab * self.hidden

    def attention_flops(self, length):  # forward, of a token, the causal half
        return 4 * self.layers * self.heads * self.head_dim * length / 2


@dataclass(frozen=True)
class Pair:
    teacher: Model
    student: Model
    length: int
    micro_batch: int
    global_batch: int
    cuts: list = field(default_factory=list)  # (axis, keep)

    def flops_per_token(self):
        """2 (body + head) of the teacher, 6 of the student, attention forward once and three times."""
        t, s, n = self.teacher, self.student, self.length
        return 2 * (t.body() + t.head()) + 6 * (s.body() + s.head()) + t.attention_flops(n) + 3 * s.attention_flops(n)


def pair(teacher, student, length, micro_batch, global_batch):
    names = {"hidden": "hidden", "ffn": "ffn", "layers": "layers"}
    cuts = [(axis, getattr(student, name)) for axis, name in names.items() if getattr(student, name) < getattr(teacher, name)]
    return Pair(teacher, student, length, micro_batch, global_batch, cuts)


PAIRS = {
    "tiny": pair(Model(64, 160, 3, 4, 2, 16, 512), Model(48, 96, 2, 4, 2, 16, 512), 64, 2, 4),
    "3b-1b": pair(Model(3072, 8192, 28, 24, 8, 128, 128256, True), Model(2048, 5504, 16, 24, 8, 128, 128256, True), 4096, 2, 16),
    "8b-4.5b": pair(Model(4096, 14336, 32, 32, 8, 128, 128256), Model(3072, 9216, 32, 32, 8, 128, 128256), 8192, 1, 8),
    "12b-8b": pair(Model(5120, 14336, 40, 32, 8, 128, 131072), Model(4096, 11520, 40, 32, 8, 128, 131072), 8192, 1, 8),
}
