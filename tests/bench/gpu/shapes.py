# SPDX-License-Identifier: Apache-2.0
"""Models and pairs of teacher and student by their published shapes, and what a token of them costs."""
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

    def parameters(self):
        norms = (2 * self.layers + 1) * self.hidden
        return self.body() + self.head() * (1 if self.tied else 2) + norms

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

    def blocks(self):
        """The cuts as [[prune]] of a recipe, by metrics that need no data."""
        metric = {"layers": "position"}
        return "".join(f'[[prune]]\naxis = "{axis}"\nkeep = {keep}\nmetric = {{ name = "{metric.get(axis, "random")}" }}\n' for axis, keep in self.cuts)

    def flops_per_token(self):
        """2 (body + head) of the teacher, 6 of the student, attention forward once and three times."""
        t, s, n = self.teacher, self.student, self.length
        return 2 * (t.body() + t.head()) + 6 * (s.body() + s.head()) + t.attention_flops(n) + 3 * s.attention_flops(n)


def pair(teacher, student, length, micro_batch, global_batch):
    names = {"hidden": "hidden", "ffn": "ffn", "layers": "layers"}
    cuts = [(axis, getattr(student, name)) for axis, name in names.items() if getattr(student, name) < getattr(teacher, name)]
    return Pair(teacher, student, length, micro_batch, global_batch, cuts)


MODELS = {  # tiny: a check of the scripts, small: what a CPU can time
    "tiny": Model(64, 160, 3, 4, 2, 16, 512),
    "small": Model(1024, 4096, 12, 16, 4, 64, 32000),
    "3b": Model(3072, 8192, 28, 24, 8, 128, 128256, True),
    "8b": Model(4096, 14336, 32, 32, 8, 128, 128256),
    "12b": Model(5120, 14336, 40, 32, 8, 128, 131072),
}
PAIRS = {
    "tiny": pair(MODELS["tiny"], Model(48, 96, 2, 4, 2, 16, 512), 64, 2, 4),
    "small": pair(MODELS["small"], Model(768, 3072, 12, 16, 4, 64, 32000), 512, 2, 4),
    "3b-1b": pair(MODELS["3b"], Model(2048, 5504, 16, 24, 8, 128, 128256, True), 4096, 2, 16),
    "8b-4.5b": pair(MODELS["8b"], Model(3072, 9216, 32, 32, 8, 128, 128256), 8192, 1, 8),
    "12b-8b": pair(MODELS["12b"], Model(4096, 11520, 40, 32, 8, 128, 131072), 8192, 1, 8),
}
