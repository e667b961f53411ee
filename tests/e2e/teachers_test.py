# SPDX-License-Identifier: Apache-2.0
"""Who is pruned and who teaches: a corrected teacher whose original is cut, and a teacher that is not the model which is pruned."""

import json
import re
import struct
import subprocess
import unittest

from workspace import SOURCE, STUDENT, Workspace

PYTHON = SOURCE / ".venv/bin/python"

READ_EVENTS = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0}).Reload()
print(json.dumps({tag: [[event.step, event.value] for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}))
"""

CORRECT = """
[correct]
steps        = 12
global_batch = 4
micro_batch  = 2
scheduler    = { name = "cosine", peak = 2e-3, min = 1e-4, warmup_steps = 2 }
eval_every   = 0
log_every    = 1
"""


class Teachers(Workspace):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_program("run", "teacher.toml")
        cls.write("student.toml", "runs/student")
        cls.run_program("run", "student.toml")
        cls.write("original.toml", "runs/original", correct=CORRECT + 'prune_from = "original"\n')
        cls.original = cls.run_program("run", "original.toml").stderr
        cls.write("quarter.toml", "runs/quarter", teacher="runs/student", distill='teacher = "runs/teacher"\n')
        cls.run_program("run", "quarter.toml")

    @classmethod
    def write(cls, name, output, teacher="runs/teacher", correct="", distill=""):
        text = STUDENT.replace('"runs/student"', f'"{output}"').replace('path = "runs/teacher"', f'path = "{teacher}"')
        if teacher == "runs/student":
            text = text.replace("keep   = 24", "keep   = 16")
        (cls.root / name).write_text(text.replace("[score]", correct + "[score]").replace("[distill]", "[distill]\n" + distill))

    def read(self, path):
        return json.loads((self.root / path).read_text())

    def test_the_original_is_scored_and_cut_while_the_corrected_teacher_teaches(self):
        self.assertRegex(self.original, r"score +3 of 3 score files are reused")  # those of the student without a correction
        for path in ("student/model.safetensors", "plan.json", "scores/hidden.safetensors", "verify.json"):
            self.assertEqual((self.root / "runs/original" / path).read_bytes(), (self.root / "runs/student" / path).read_bytes(), path)
        evaluation, plain = self.read("runs/original/eval.json"), self.read("runs/student/eval.json")
        self.assertEqual(evaluation["original"]["nll"], plain["teacher"]["nll"])
        self.assertEqual(evaluation["before"]["nll"], plain["before"]["nll"])
        self.assertLess(evaluation["teacher"]["nll"], evaluation["original"]["nll"])
        self.assertNotEqual(evaluation["nll"], plain["nll"])
        self.assertNotIn("original", plain)
        mine, other = self.read("runs/original/export/espalier.json"), self.read("runs/student/export/espalier.json")
        self.assertEqual(mine["teacher_digest"], other["teacher_digest"])
        self.assertNotEqual(mine["distill_teacher_digest"], mine["teacher_digest"])
        self.assertNotIn("distill_teacher_digest", other)
        self.assertIn("verified:", self.run_program("verify", "runs/original").stdout)

    def test_another_correction_changes_the_teaching_alone(self):
        self.run_program("run", "original.toml", "--set", "output=runs/longer")
        longer = self.run_program("run", "original.toml", "--set", "output=runs/longer", "--set", "correct.steps=14").stderr
        for stage in ("score", "plan", "slice", "verify"):
            self.assertRegex(longer, stage + r" +unchanged, skipped")
        for stage in ("correct", "distill", "export", "eval"):
            self.assertRegex(longer, stage + r" +done in")
        self.assertIn("verified:", self.run_program("verify", "runs/longer").stdout)

    def test_pruning_the_corrected_teacher_scores_it_anew_without_another_correction(self):
        self.run_program("distill", "original.toml", "--set", "output=runs/corrected")
        both = self.run_program("run", "original.toml", "--set", "output=runs/corrected", "--set", 'correct.prune_from="corrected"').stderr
        self.assertRegex(both, r"correct +unchanged, skipped")
        self.assertNotRegex(both, "score files are reused")
        self.assertRegex(both, r"distill +done in")
        self.assertNotIn("original", self.read("runs/corrected/eval.json"))
        self.assertIn("verified:", self.run_program("verify", "runs/corrected").stdout)

    def test_a_corrected_teacher_is_exported_in_the_dtype_that_it_came_in_as_plan_says(self):
        text = STUDENT.replace('"runs/student"', '"runs/again"').replace('path = "runs/teacher"', 'path = "runs/student"')
        head, rest = text.split("[score]")
        (self.root / "again.toml").write_text(head + CORRECT.replace("12", "2"))
        plan = json.loads(self.run_program("plan", "again.toml", "--json").stdout)
        self.run_program("run", "again.toml")
        data = (self.root / "runs/again/export/model.safetensors").read_bytes()
        self.assertEqual(plan["student"]["bytes"], len(data) - 8 - int.from_bytes(data[:8], "little"))
        self.assertEqual(plan["student"]["bytes"], 2 * plan["student"]["parameters"])

    def test_tensorboard_reads_what_both_trainings_logged(self):
        for stage, log, steps in (("correct", "metrics.correct.jsonl", 12), ("distill", "metrics.jsonl", 24)):
            lines = [json.loads(line) for line in (self.root / "runs/original" / log).read_text().splitlines()]
            self.assertEqual(len(lines), steps)
            done = subprocess.run([PYTHON, "-c", READ_EVENTS, self.root / "runs/original/tensorboard" / stage], capture_output=True, text=True, check=True)
            scalars = json.loads(done.stdout)
            renamed = {"lr": "train/learning_rate", "eval_nll": "eval/loss"}
            keys = {key for line in lines for key in line if key != "step"}
            self.assertEqual(set(scalars), {renamed.get(key, f"train/{key}") for key in keys})
            for key in keys:
                expected = [[line["step"], struct.unpack("f", struct.pack("f", line[key]))[0]] for line in lines if key in line]
                self.assertEqual(scalars[renamed.get(key, f"train/{key}")], expected, key)
        self.assertLessEqual({"train/loss", "train/kl", "train/cross_entropy", "train/grad_norm", "train/tokens_per_s", "eval/loss"}, set(scalars))

    def test_the_third_generation_is_cut_from_the_second_and_taught_by_the_first(self):
        evaluation = self.read("runs/quarter/eval.json")
        self.assertEqual(evaluation["distill_teacher"]["nll"], self.read("runs/student/eval.json")["teacher"]["nll"])
        self.assertEqual(evaluation["teacher"]["nll"], self.read("runs/student/eval.json")["nll"])
        compared = json.loads(self.run_program("compare", "runs/quarter", "--json").stdout)["arms"][0]
        self.assertEqual(compared["teacher"]["nll"], evaluation["distill_teacher"]["nll"])  # who taught, not what was cut
        provenance = self.read("runs/quarter/export/espalier.json")
        self.assertEqual(provenance["distill_teacher_digest"], self.read("runs/student/export/espalier.json")["teacher_digest"])
        lock = (self.root / "runs/quarter/recipe.lock.toml").read_text()
        self.assertIn(f'"distill teacher" = "{provenance["distill_teacher_digest"]}"\n', lock)
        self.assertIn("verified:", self.run_program("verify", "runs/quarter").stdout)
        forged = re.sub(r'("distill teacher" = )"\w+"', r'\1"' + "0" * 64 + '"', lock)
        (self.root / "forged.toml").write_text(forged)
        self.assertIn("[lock] distill teacher is not what was locked", self.run_program("run", "forged.toml", "--set", "output=runs/forged", expect=2).stderr)

    def test_another_teacher_of_the_distillation_is_another_distillation_alone(self):
        self.run_program("run", "quarter.toml", "--set", "output=runs/taught")
        again = self.run_program("run", "quarter.toml", "--set", "output=runs/taught", "--set", 'distill.teacher="runs/original"').stderr
        for stage in ("score", "plan", "slice", "verify"):
            self.assertRegex(again, stage + r" +unchanged, skipped")
        self.assertRegex(again, r"distill +done in")

    def test_teachers_that_do_not_fit_are_told_by_plan(self):
        config = self.read("runs/teacher/export/config.json")
        config["vocab_size"] = 300
        (self.root / "wide").mkdir()
        (self.root / "wide/config.json").write_text(json.dumps(config))
        self.write("bad.toml", "runs/bad", distill='teacher = "wide"\n')
        self.assertRegex(self.run_program("plan", "bad.toml", expect=2).stderr,
                         r"bad.toml:\d+:11: error: \[distill\] teacher has another vocabulary than the student; got 300 tokens; expected 257\n")
        self.write("bad.toml", "runs/bad", distill='teacher = "nowhere"\n')
        self.assertIn("nowhere: there is no such folder", self.run_program("plan", "bad.toml", expect=1).stderr)
        self.assertFalse((self.root / "runs/bad").exists())

    def test_a_first_training_has_no_teacher_to_compare_with(self):
        text = (self.root / "teacher.toml").read_text().replace('"cross_entropy"', '"kl"')
        (self.root / "alone.toml").write_text(text)
        self.assertRegex(self.run_program("plan", "alone.toml", expect=2).stderr,
                         r"alone.toml:\d+:\d+: error: \[correct\] loss 'kl' compares with a teacher, but there is none to compare with; "
                         r"got a model from random weights; expected losses on the labels alone\n")


if __name__ == "__main__":
    unittest.main(verbosity=2)
