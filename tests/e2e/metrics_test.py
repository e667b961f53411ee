# SPDX-License-Identifier: Apache-2.0
"""Every data-driven metric of a width on every axis, as recipes name them: planned, scored, sliced and distilled a little."""

import json
import struct
import unittest

from workspace import TEACHER, Workspace

AXES = {"hidden": 24, "ffn": 36, "heads": 4, "kv_groups": 2, "layers": 3}
# One recipe each; together every metric meets every axis that it accepts. `layers` takes metrics of depth and taylor.
TAYLOR, WANDA, ACTIVATION = '{ name = "taylor" }', '{ name = "wanda" }', '{ name = "activation" }'
FLUCTUATION = '{ name = "fluctuation" }'
RECIPES = {
    "a": [TAYLOR, WANDA, FLUCTUATION, ACTIVATION, TAYLOR],
    "b": [WANDA, FLUCTUATION, ACTIVATION, TAYLOR, '{ name = "taylor", samples = "square" }'],
    "c": ['{ name = "fluctuation", kind = "ifv" }', ACTIVATION, '{ name = "taylor", samples = "signed" }',
          '{ name = "wanda", reduce = "l2" }', '{ name = "loss_drop" }'],
    "d": [ACTIVATION, '{ name = "taylor", tap = "pre_activation" }', WANDA, '{ name = "fluctuation", kind = "wifn" }',
          '{ name = "block_influence" }'],
}


def recipe(name, metrics):
    """A teacher with random weights, pruned along every axis, and two steps of distillation."""
    text = TEACHER.replace('"teacher"', f'"{name}"').replace("runs/teacher", f"runs/{name}").replace("[correct]", "[distill]")
    text = text.replace("heads = 4, kv_groups = 2", "heads = 8, kv_groups = 4").replace("steps        = 24", "steps = 2")
    text = text.replace("warmup_steps = 4", "warmup_steps = 1").replace('"cross_entropy"', '"kl"')
    for (axis, keep), metric in zip(AXES.items(), metrics):
        text += f'[[prune]]\naxis = "{axis}"\nkeep = {keep}\nmetric = {metric}\n'
    return text + "[score]\nsamples = 12\nmicro_batch = 5\n"


def metadata(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8:8 + length])["__metadata__"]


class Metrics(Workspace):
    def test_every_metric_prunes_along_every_axis_that_it_accepts(self):
        met = set()
        for name, metrics in RECIPES.items():
            with self.subTest(recipe=name):
                (self.root / f"{name}.toml").write_text(recipe(name, metrics))
                planned = json.loads(self.run_program("plan", f"{name}.toml", "--json").stdout)
                self.run_program("run", f"{name}.toml")
                folder = self.root / "runs" / name
                self.assertEqual(json.loads((folder / "plan.json").read_text())["student"]["parameters"], planned["student"]["parameters"])
                for path in folder.glob("scores/*.safetensors"):
                    found = metadata(path)
                    self.assertEqual(found["samples"], "12")
                    met.add((found["metric"], found["axis"]))
                self.assertEqual(len((folder / "metrics.jsonl").read_text().splitlines()), 2)
        widths = ["hidden", "ffn", "heads", "kv_groups"]
        expected = {(metric, axis) for metric in ["activation", "taylor", "wanda", "fluctuation"] for axis in widths}
        self.assertEqual(met, expected | {("taylor", "layers"), ("loss_drop", "layers"), ("block_influence", "layers")})

    def test_metrics_on_axes_that_they_cannot_score_are_refused_at_their_place(self):
        text = recipe("bad", RECIPES["a"][:4] + ['{ name = "taylor", tap = "fc2_input" }'])
        (self.root / "bad.toml").write_text(text.replace(ACTIVATION, '{ name = "fluctuation", kind = "fluc" }'))
        error = self.run_program("plan", "bad.toml", expect=2).stderr
        self.assertRegex(error, r"bad.toml:\d+:\d+: error: \[prune\] kind of metric 'fluctuation' is not a known choice; got \"fluc\"; "
                                r"expected \"ifv\", \"wifv\" or \"wifn\"")
        (self.root / "bad.toml").write_text(text)
        error = self.run_program("score", "bad.toml", expect=2).stderr
        self.assertIn("tap of metric 'taylor' belongs to an axis of a width; got 'fc2_input' with axis 'layers'; expected none", error)
        (self.root / "bad.toml").write_text(recipe("bad", RECIPES["a"][:4] + [WANDA]))
        error = self.run_program("score", "bad.toml", expect=2).stderr
        self.assertRegex(error, r"bad.toml:\d+:\d+: error: \[prune\] in metric 'wanda' \(plugin importance [\d.]+\): metric 'wanda' needs an axis "
                                r"whose units have activations; got axis 'layers'")


if __name__ == "__main__":
    unittest.main(verbosity=2)
