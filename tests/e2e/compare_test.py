# SPDX-License-Identifier: Apache-2.0
"""Losses by document of runs, and what `espalier compare` concludes from them."""

import json
import unittest

from workspace import STUDENT, Workspace, read_documents

WIDTH = STUDENT[: STUDENT.rindex("[[prune]]")] + STUDENT[STUDENT.index("[distill]") :]
DEPTH = STUDENT[: STUDENT.index("[[prune]]")] + STUDENT[STUDENT.rindex("[[prune]]") :]
MODELS = ["before", "export", "teacher"]


class Compare(Workspace):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_program("run", "teacher.toml")
        (cls.root / "width.toml").write_text(WIDTH.replace("student", "width"))
        (cls.root / "depth.toml").write_text(DEPTH.replace("student", "depth"))
        for arm in ("width", "depth"):
            for seed in (1, 2):
                cls.run_program("run", f"{arm}.toml", *cls.named(f"{arm}-seed{seed}"), "--set", f"seed={seed}")

    @staticmethod
    def named(name):
        return ["--set", f"name={name}", "--set", f"output=runs/{name}"]

    def read(self, path):
        return json.loads((self.root / path).read_text())


class Documents(Compare):
    def folder(self, run="width-seed1"):
        return self.root / "runs" / run / "documents"

    def test_a_run_has_the_losses_of_every_model_it_measured_by_document(self):
        evaluation = self.read("runs/width-seed1/eval.json")
        self.assertEqual(sorted(path.stem for path in self.folder().iterdir()), MODELS)
        for model in MODELS:
            measured = evaluation if model == "export" else evaluation[model]
            rows = read_documents(self.folder() / f"{model}.safetensors")
            with self.subTest(model=model):
                self.assertEqual(rows["metadata"]["model"], model)
                self.assertEqual(json.loads(rows["metadata"]["protocol"]), measured["protocol"])
                self.assertEqual(json.loads(rows["metadata"]["sources"]), measured["protocol"]["data"])
                self.assertEqual(len(rows["document"]), measured["documents"])
                self.assertEqual(sum(rows["tokens"]), measured["tokens"])
                self.assertAlmostEqual(sum(rows["nll"]) / sum(rows["tokens"]), measured["nll"], delta=1e-12)

    def test_a_run_again_repairs_files_that_are_gone_or_damaged(self):
        run = ["run", "width.toml", *self.named("width-seed1"), "--set", "seed=1"]
        for model in MODELS:
            path = self.folder() / f"{model}.safetensors"
            content = path.read_bytes()
            for broken in (None, content[:-1] + b"\x7f"):
                path.unlink()
                if broken:
                    path.write_bytes(broken)
                with self.subTest(model=model, broken=bool(broken)):
                    self.assertNotIn("nothing to do", self.run_program(*run).stderr)
                    self.assertEqual(path.read_bytes(), content)
        self.assertIn("nothing to do", self.run_program(*run).stderr)

    def test_a_kept_evaluation_without_its_documents_is_measured_again(self):
        contents = {model: (self.folder("depth-seed1") / f"{model}.safetensors").read_bytes() for model in MODELS}
        for path in (self.root / "runs/.cache/eval").glob("*.safetensors"):
            path.unlink()
        (self.folder("depth-seed1") / "export.safetensors").unlink()
        self.run_program("run", "depth.toml", *self.named("depth-seed1"), "--set", "seed=1")
        for model, content in contents.items():
            self.assertEqual((self.folder("depth-seed1") / f"{model}.safetensors").read_bytes(), content)

    def test_eval_writes_the_same_for_any_checkpoint(self):
        pair = ["--data", "corpus/0*.txt", "--data", "corpus/1*.txt", "--seq-length", "32"]
        evaluation = json.loads(self.run_program("eval", "runs/width-seed1", *pair, "--documents", "d.safetensors", "--dump",
                                                 "dump.safetensors", "--json").stdout)
        rows = read_documents(self.root / "d.safetensors")
        self.assertEqual(len(rows["document"]), 20)
        self.assertEqual(set(rows["source"]), {0, 1})
        self.assertAlmostEqual(sum(rows["nll"]) / sum(rows["tokens"]), evaluation["nll"], delta=1e-12)
        self.assertIn("--documents: writes losses of --data, which is missing",
                      self.run_program("eval", "runs/width-seed1", "--task", "x.jsonl", "--documents", "d", expect=2).stderr)


def without_seconds(value):
    if isinstance(value, dict):
        return {key: without_seconds(inner) for key, inner in value.items() if key != "seconds"}
    return [without_seconds(inner) for inner in value] if isinstance(value, list) else value


class Verdicts(Compare):
    ALL = ["runs/width-seed1", "runs/width-seed2", "runs/depth-seed1", "runs/depth-seed2"]

    def compare(self, *arguments):
        return json.loads(self.run_program("compare", *arguments, "--json").stdout)

    def test_seeds_of_one_recipe_are_an_arm_and_the_arms_get_a_verdict(self):
        found = self.compare(*self.ALL)
        self.assertEqual([(arm["name"], arm["runs"]) for arm in found["arms"]],
                         [("width", ["width-seed1", "width-seed2"]), ("depth", ["depth-seed1", "depth-seed2"])])
        self.assertEqual([(v["a"], v["b"], v["moment"], v["seeds"], v["documents"]) for v in found["verdicts"]],
                         [("width", "depth", "after", 2, 9), ("width", "depth", "before", 2, 9)])
        # The difference by hand: summed nll ÷ tokens, averaged over seeds.
        rows = [read_documents(self.root / run / "documents/export.safetensors") for run in self.ALL]
        means = [sum(row["nll"]) / sum(row["tokens"]) for row in rows]
        verdict = found["verdicts"][0]
        self.assertAlmostEqual(verdict["difference"], (means[0] + means[1] - means[2] - means[3]) / 2, delta=1e-12)
        self.assertEqual(verdict["outcome"], "worse" if verdict["low"] > 0 else "better" if verdict["high"] < 0 else "undecided")
        self.assertEqual({entry["key"] for entry in found["differences"]}, {"prune"})
        self.assertEqual([len(curve["runs"]) for curve in found["curves"]], [2, 2])
        self.assertEqual({(score["run"], score["axis"]) for score in found["scores"]},
                         {("width-seed1", "hidden"), ("width-seed1", "ffn"), ("depth-seed1", "layers")})
        hidden = next(score for score in found["scores"] if score["axis"] == "hidden")
        self.assertEqual((len(hidden["layers"][0]), sum(hidden["kept"][0])), (32, 24))

    def test_the_text_ends_with_the_verdicts_and_the_page_is_written(self):
        text = self.run_program("compare", *self.ALL, "--report", "report.html").stdout
        self.assertRegex(text, r"^arm +runs +parameters")
        self.assertRegex(text, r"\n(width is better than depth|depth is better than width|width and depth cannot be told apart)")
        self.assertRegex(text, r"2 seeds × 9 documents\)")
        self.assertTrue((self.root / "report.html").read_text().startswith("<!doctype html>"))

    def test_the_same_again_but_for_seconds(self):
        self.assertEqual(without_seconds(self.compare(*self.ALL)), without_seconds(self.compare(*self.ALL)))

    def test_one_seed_says_that_seeds_are_not_covered(self):
        found = self.compare("runs/width-seed1", "runs/depth-seed1")
        self.assertEqual(found["verdicts"][0]["scope"], "documents alone")
        self.assertIn("1 seed × 9 documents; seeds are not covered)", found["verdicts"][0]["text"])

    def test_plain_checkpoints_are_measured_on_the_data_that_is_given(self):
        data = ["--data", "corpus/*.txt", "--seq-length", "32"]
        found = self.compare("runs/width-seed1/export", "runs/depth-seed1/export", *data)
        self.assertEqual([arm["name"] for arm in found["arms"]], ["width-seed1", "depth-seed1"])
        alone = json.loads(self.run_program("eval", "runs/width-seed1", *data, "--json").stdout)
        self.assertEqual(found["arms"][0]["after"]["nll"]["mean"], alone["nll"])
        self.assertEqual(found["verdicts"][0]["documents"], 40)
        self.assertIn("expected --data", self.run_program("compare", "runs/width-seed1/export", expect=2).stderr)

    def test_runs_of_other_windows_are_refused(self):
        self.run_program("run", "width.toml", *self.named("few"), "--set", "eval.windows=5")
        self.assertIn("few and depth-seed1 were not measured alike: windows differs; got 5 and ",
                      self.run_program("compare", "runs/few", "runs/depth-seed1", expect=2).stderr)

    def test_a_damaged_file_is_named(self):
        path = self.root / "runs/width-seed2/documents/export.safetensors"
        content = path.read_bytes()
        try:
            path.write_bytes(content[:-3])
            self.assertIn("runs/width-seed2/documents/export.safetensors", self.run_program("compare", *self.ALL, expect=1).stderr)
            path.write_bytes((self.root / "runs/width-seed2/documents/before.safetensors").read_bytes())
            self.assertIn("not the losses of eval.json beside it", self.run_program("compare", *self.ALL, expect=1).stderr)
        finally:
            path.write_bytes(content)

    def test_an_unknown_baseline_is_refused(self):
        self.assertIn("--baseline: no such arm; got 'widht'; expected 'width' or 'depth'; did you mean 'width'?",
                      self.run_program("compare", *self.ALL, "--baseline", "widht", expect=2).stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
