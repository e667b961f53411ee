# SPDX-License-Identifier: Apache-2.0
"""Depth as a recipe names it: layers one by one and in runs, attention and MLP blocks, with every metric of depth."""

import json
import struct
import unittest

from workspace import STUDENT, Workspace

UNEQUAL = "unequal = true"
METRICS = [
    'name = "block_influence"',
    'name = "angular_distance"',
    'name = "angular_distance", tokens = "all"',
    'name = "loss_drop"',
    'name = "kl_drop"',
    'name = "position", keep_first = 1, keep_last = 1',
    'name = "taylor"',
    'name = "magnitude"',
    'name = "random"',
]


def prune(axis, keep, metric, options=""):
    return f'[[prune]]\naxis = "{axis}"\nkeep = {keep}\nmetric = {{ {metric} }}\n{options}\n'


def recipe(name, blocks, steps=2):
    """The student's recipe with other cuts, few samples and few steps."""
    head, rest = STUDENT.split("[[prune]]", 1)
    distill = rest[rest.index("[distill]"):]
    text = head.replace("samples     = 24", "samples = 8") + "".join(blocks) + distill
    return text.replace("runs/student", f"runs/{name}").replace("steps        = 24", f"steps = {steps}").replace('"student"', f'"{name}"')


def scores(path):
    """(shapes, metadata) of a file of scores."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__")
    return {name: info["shape"] for name, info in header.items()}, metadata


class Depth(Workspace):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_program("run", "teacher.toml")

    def write(self, name, blocks, steps=2):
        (self.root / f"{name}.toml").write_text(recipe(name, blocks, steps))
        return f"{name}.toml"

    def run_recipe(self, name, blocks, steps=2):
        done = self.run_program("run", self.write(name, blocks, steps))
        folder = self.root / "runs" / name
        self.assertEqual(len((folder / "metrics.jsonl").read_text().splitlines()), steps)
        return folder, done

    def test_every_metric_of_depth_scores_every_axis_of_layers(self):
        for i, metric in enumerate(METRICS):
            with self.subTest(metric=metric):
                others = METRICS[i - 1], METRICS[i - 2]
                folder, _ = self.run_recipe(f"metric{i}", [
                    prune("attention_blocks", 3, metric, UNEQUAL),
                    prune("mlp_blocks", 2, others[0], UNEQUAL),
                    prune("layers", 3, others[1]),
                ])
                plan = json.loads((folder / "plan.json").read_text())
                parts = {axis["name"]: axis.get("part") for axis in plan["axes"]}
                self.assertEqual(parts, {"attention_blocks": "attention", "mlp_blocks": "mlp", "layers": None})
                layers = plan["student"]["layers"]
                self.assertEqual(len(layers), 3)
                kept = plan["selections"]
                for layer, of_teacher in zip(layers, plan["layer_of"]):
                    self.assertEqual(layer["attention"], of_teacher in kept["attention_blocks"])
                    self.assertEqual(layer["mlp"], of_teacher in kept["mlp_blocks"])
                self.run_program("verify", folder.relative_to(self.root))

    def test_runs_are_scored_as_runs_for_the_target_that_the_recipe_names(self):
        for metric, run in [("angular_distance", True), ("loss_drop", True), ("kl_drop", True), ("block_influence", False), ("random", False)]:
            with self.subTest(metric=metric):
                name = f"run_{metric}"
                text = recipe(name, [prune("layers", 2, f'name = "{metric}"', "contiguous = true")])
                (self.root / f"{name}.toml").write_text("seed = 77\n" + text)  # score files that no other test makes
                self.run_program("run", f"{name}.toml")
                folder = self.root / "runs" / name
                shapes, metadata = scores(folder / "scores/layers.safetensors")
                self.assertEqual(shapes, {"layers": [3 if run else 4]})
                self.assertEqual(metadata.get("run"), "2" if run else None)
                self.assertIn(json.loads((folder / "plan.json").read_text())["layer_of"], [[2, 3], [0, 3], [0, 1]])
                if not run:
                    continue
                # Another target needs another pass.
                again = self.run_program("score", f"{name}.toml", "--set", "prune.0.keep=3", "--set", f"output=runs/{name}_3")
                self.assertNotIn("score files are reused", again.stderr)
                shapes, metadata = scores(self.root / f"runs/{name}_3/scores/layers.safetensors")
                self.assertEqual((shapes, metadata["run"]), ({"layers": [4]}, "1"))

    def test_the_score_file_of_units_serves_every_target(self):
        blocks = [prune("layers", 2, 'name = "block_influence"', "contiguous = true")]
        self.run_recipe("units", blocks)
        again = self.run_program("score", "units.toml", "--set", "prune.0.keep=3", "--set", "output=runs/units_3")
        self.assertIn("1 of 1 score files are reused", again.stderr)

    def test_a_student_of_unequal_layers_is_evaluated_distilled_and_pruned_again(self):
        folder, done = self.run_recipe("blocks", [
            prune("mlp_blocks", 3, 'name = "kl_drop"', UNEQUAL),
            prune("hidden", 24, 'name = "activation"'),
            prune("layers", 3, 'name = "angular_distance"', "contiguous = true"),
            prune("attention_blocks", 2, 'name = "loss_drop"', UNEQUAL),
            prune("heads", 2, 'name = "activation"'),
            prune("ffn", 24, 'name = "activation"'),
        ], 4)
        plan = json.loads((folder / "plan.json").read_text())
        layers = len(plan["student"]["layers"])
        mlps = sum(layer["mlp"] for layer in plan["student"]["layers"])
        note = (f"of {layers} layers 2 have an attention and {mlps} an MLP, which espalier itself loads; transformers, vLLM and "
                "llama.cpp, which expect both in every layer, cannot")
        self.assertIn(note, done.stderr)
        self.assertIn("note: of ", self.run_program("plan", "blocks.toml").stdout)
        provenance = json.loads((folder / "export/espalier.json").read_text())
        self.assertEqual(provenance["parts"], {"mlp_blocks": "mlp", "attention_blocks": "attention"})
        self.assertEqual(len(json.loads((folder / "export/config.json").read_text())["espalier_layers"]), layers)
        self.assertEqual(json.loads(self.run_program("verify", "runs/blocks", "--json").stdout)["problems"], [])
        # Its export is a teacher: the one block that is left of a part is a unit as any other.
        again = recipe("again", [prune("attention_blocks", 1, 'name = "kl_drop"', UNEQUAL), prune("ffn", 12, 'name = "activation"')])
        (self.root / "again.toml").write_text(again.replace('path = "runs/teacher"', 'path = "runs/blocks"'))
        self.run_program("run", "again.toml")
        smaller = json.loads((self.root / "runs/again/plan.json").read_text())
        self.assertEqual(sum(layer["attention"] for layer in smaller["student"]["layers"]), 1)
        self.assertEqual(len(smaller["selections"]["attention_blocks"]), 1)

    def test_what_cannot_be_is_refused_at_its_place_before_anything_runs(self):
        cases = {
            "equal": ([prune("attention_blocks", 3, 'name = "kl_drop"')],
                      r"equal.toml:\d+:\d+: error: \[prune\] unequal of axis 'attention_blocks' is not set; got false; expected unequal = true: layers "
                      r"that lack a block are loaded by espalier itself, not by transformers, vLLM or llama.cpp"),
            "cut_before": ([prune("layers", 3, 'name = "loss_drop"'), prune("layers", 1, 'name = "angular_distance"', "contiguous = true")],
                           r"cut_before.toml:\d+:\d+: error: \[prune\] metric 'angular_distance' scores runs of the teacher's layers, and an earlier block "
                           r"has cut them; got 3 of 4; expected axis 'layers' in front of that block, or a metric that scores layers one by one"),
            "width": ([prune("ffn", 24, 'name = "kl_drop"')],
                      r"metric 'kl_drop' scores layers and parts of them; got axis 'ffn'; expected an axis of layers, such as 'layers'"),
            "too_many": ([prune("layers", 3, 'name = "random"'), prune("mlp_blocks", 4, 'name = "random"', UNEQUAL)],
                         r"too_many.toml:\d+:\d+: error: \[prune\] keep of axis 'mlp_blocks' is out of range; got 4; expected 1 to 3 \(nearest: 3\)"),
        }
        for name, (blocks, error) in cases.items():
            for verb in ("plan", "run"):
                with self.subTest(name=name, verb=verb):
                    self.assertRegex(self.run_program(verb, self.write(name, blocks), expect=2).stderr, error)
                    self.assertFalse((self.root / "runs" / name).exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
