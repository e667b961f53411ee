# SPDX-License-Identifier: Apache-2.0
"""Losses by document of runs, and what `espalier compare` concludes from them."""

import json
import re
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


if __name__ == "__main__":
    unittest.main(verbosity=2)
