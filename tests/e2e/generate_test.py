# SPDX-License-Identifier: Apache-2.0
"""Text and speed as a user asks for them: `espalier eval --generate` gives the tokens of transformers, for every family and
for an exported student; several models, and --speed of all of them."""

import json
import pathlib
import subprocess
import unittest

from export_test import loadable
from workspace import SOURCE, Workspace

GOLDEN = SOURCE / "tests/golden"
PYTHON = SOURCE / ".venv/bin/python"
PROMPTS = ["0123456789 0123", "7", "31 41 59 26 53 58 97 93"]  # tokens below the goldens' vocabularies


class Generate(Workspace):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_program("run", "teacher.toml")
        cls.run_program("run", "student.toml")

    def ours(self, model, prompts, new_tokens):
        asked = [word for prompt in prompts for word in ("--generate", prompt)]
        found = json.loads(self.run_program("eval", model, *asked, "--new-tokens", str(new_tokens), "--tokenizer", "bytes", "--json").stdout)
        return found["generated"]

    @unittest.skipUnless(loadable(), "transformers is not in .venv: run `bash setup.sh --tests`")
    def test_text_is_that_of_transformers_token_for_token(self):
        goldens = sorted(path for path in GOLDEN.iterdir() if (path / "config.json").exists())
        self.assertEqual(len(goldens), 10)
        folders = [*goldens, self.root / "runs/student/export"]
        done = subprocess.run([str(PYTHON), str(GOLDEN / "check_generate.py"), "24", *map(str, folders), "--", *PROMPTS],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        for folder, theirs in zip(folders, json.loads(done.stdout.splitlines()[-1]), strict=True):
            with self.subTest(model=folder.name):
                self.assertEqual([one["tokens"] for one in self.ours(folder, PROMPTS, 24)], theirs)

    def test_a_trained_model_goes_on_with_words_of_its_corpus(self):
        prompt = pathlib.Path(self.root / "corpus/07.txt").read_text()[:20]
        (one,) = self.ours("runs/student", [prompt], 12)
        self.assertEqual(one["prompt"], prompt)
        self.assertEqual(list(one["text"].encode()), one["tokens"])
        self.assertFalse(one["stopped"])
        text = self.run_program("eval", "runs/student", "--generate", prompt, "--new-tokens", "12").stdout
        self.assertEqual(text, prompt + one["text"] + "\n")

    def test_several_models_are_each_what_one_is(self):
        words = ["--data", "corpus/00.txt", "--seq-length", "32", "--json"]
        alone = [json.loads(self.run_program("eval", run, *words).stdout) for run in ("runs/teacher", "runs/student")]
        both = json.loads(self.run_program("eval", "runs/teacher", "runs/student", *words).stdout)
        self.assertEqual(list(both), ["models"])
        for one in alone + both["models"]:
            del one["tokens_per_s"]
        self.assertEqual(both["models"], alone)
        text = self.run_program("eval", "runs/teacher", "runs/student", *words[:-1]).stdout
        self.assertRegex(text, r"^runs/teacher\nnll [^\n]+\n[^\n]+\nruns/student\nnll ")

    def test_the_speed_of_all_models_is_measured_in_one_run(self):
        words = ["eval", "runs/teacher", "runs/student", "--speed", "--prompt-tokens", "24", "--new-tokens", "8", "--repeats", "3"]
        found = json.loads(self.run_program(*words, "--batch", "2", "--json").stdout)
        self.assertEqual([one["model"] for one in found["models"]], ["runs/teacher", "runs/student"])
        speed = found["speed"]
        self.assertEqual(speed["schema"], 1)
        self.assertEqual(speed["protocol"]["prompt"], "counted")
        self.assertEqual([one["name"] for one in speed["models"]], ["runs/teacher", "runs/student"])
        for one, layers in zip(speed["models"], (4, 3)):
            self.assertEqual(one["cache_bytes"], layers * 2 * 2 * 2 * 8 * 31 * 4)
            self.assertEqual(one["peak_bytes"], one["weights_bytes"] + one["cache_bytes"] + one["activation_bytes"])
            self.assertEqual(len(one["digest"]), 64)
        self.assertLess(speed["models"][1]["weights_bytes"], speed["models"][0]["weights_bytes"])
        text = self.run_program(*words, "--data", "corpus/00.txt", "--seq-length", "32").stdout
        self.assertRegex(text, r"model +first token +prefill tokens/s .*\nruns/teacher .* \(1\.00x\)\nruns/student .*x\)\nbatch 1, 24 prompt")

    def test_what_cannot_be_measured_is_refused(self):
        for words, error, code in [
            (["--generate", ""], "--generate: empty prompt; expected text to go on from", 2),
            (["--generate", "a", "--new-tokens", "0"], "--new-tokens: out of range; got 0; expected at least 1", 2),
            (["--speed", "--new-tokens", "1"], "--new-tokens: out of range; got 1; expected at least 2", 2),
            (["--speed", "--batch", "0"], "--batch: out of range; got 0; expected at least 1", 2),
            (["--speed", "--prompt-tokens", "0"], "--prompt-tokens: out of range; got 0; expected at least 1", 2),
            (["--speed", "--repeats", "0"], "--repeats: out of range; got 0; expected at least 1", 2),
            (["--speed", "--data", "corpus/00.txt", "--seq-length", "32", "--prompt-tokens", "60", "--batch", "1000"],
             "corpus/00.txt: too short for the prompts of a batch; got ", 1),
            (["runs/student", "--data", "corpus/00.txt", "--dump", "x"], "--dump: is of one model; got 2 models", 2),
        ]:
            with self.subTest(words=words):
                self.assertIn(error, self.run_program("eval", "runs/teacher", *words, expect=code).stderr)
        warning = self.run_program("eval", "runs/teacher", "--generate", "a" * 60, "--new-tokens", "8").stderr
        self.assertIn("the text grows longer than the model's positions; got 60 and 8 new tokens; expected at most 64 together", warning)
        error = self.run_program("eval", GOLDEN / "llama-llama3", "--generate", "0a", expect=1).stderr
        self.assertIn("tokens: token outside the vocabulary; got 97; expected 0 to 60", error)


if __name__ == "__main__":
    unittest.main(verbosity=2)
