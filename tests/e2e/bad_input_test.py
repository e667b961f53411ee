# SPDX-License-Identifier: Apache-2.0
"""Bad input gets one clear error, the right exit code, and leaves nothing half-written."""

import json
import pathlib
import shutil
import subprocess
import unittest

from workspace import STUDENT, Workspace, tree_digests


class BadInput(Workspace):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_program("run", "teacher.toml")

    def refused(self, code, *arguments):
        """stderr of a command that must fail with one error."""
        return self.run_program(*arguments, expect=code).stderr

    def recipe(self, text):
        (self.root / "bad.toml").write_text(text)
        return "bad.toml"

    def test_a_wrong_path_is_named(self):
        self.assertIn("nowhere.toml: cannot read; got No such file or directory", self.refused(1, "run", "nowhere.toml"))
        text = STUDENT.replace("runs/teacher", "runs/teecher")
        self.assertIn("runs/teecher: there is no such folder", self.refused(1, "run", self.recipe(text)))

    def test_an_unknown_verb_option_or_key_names_the_nearest(self):
        self.assertIn("did you mean 'plan'?", self.refused(2, "pln"))
        self.assertIn("did you mean 'json'?", self.refused(2, "plan", "student.toml", "--jsn"))
        self.assertIn("did you mean", self.refused(2, "plan", "student.toml", "--set", "distill.stepz=4"))

    def test_ten_mistakes_are_told_at_once_and_in_order(self):
        text = (STUDENT.replace('axis   = "hidden"', 'axis   = "hiden"').replace("keep   = 24", 'keep   = "many"')
                .replace('seq = "l2"', 'seq = "l3"').replace("ratio  = 0.5", "ratio  = 1.5").replace('"loss_drop"', '"los_drop"')
                .replace("micro_batch  = 2", "micro_batch  = 3").replace("temperature = 2.0", "temprature = 2.0")
                .replace('name = "cosine"', 'name = "cosinus"').replace('dtype = "bfloat16"', 'dtype = "bfloat17"')
                .replace("save_every   = 5", "save_evry = 5"))
        error = self.refused(2, "run", self.recipe(text))
        places = [tuple(map(int, line.split(":")[1:3])) for line in error.splitlines() if line.startswith("bad.toml:")]
        self.assertGreaterEqual(len(places), 10)
        self.assertEqual(places, sorted(places))
        for hint in ("did you mean 'hidden'?", "did you mean 'loss_drop'?", "did you mean 'temperature'?", "did you mean 'save_every'?"):
            self.assertIn(hint, error)
        self.assertFalse((self.root / "runs/student").exists())

    def test_a_keep_that_no_axis_can_give_names_its_neighbours(self):
        text = STUDENT + '\n[[prune]]\naxis = "heads"\nkeep = 3\nmetric = { name = "activation" }\n'
        error = self.refused(2, "plan", self.recipe(text))
        self.assertRegex(error, r"bad.toml:\d+:8: error: \[prune\] keep of axis 'heads' is not a size it can give; got 3; "
                                r"expected a multiple of 2 up to 4 \(nearest: 2, 4\)")

    def test_a_training_step_that_cannot_fit_is_refused_with_the_micro_batch_that_would(self):
        # Kept for the backward pass: megabytes for each sequence, times a million.
        text = STUDENT.replace("micro_batch  = 2", "micro_batch  = 1048576").replace("global_batch = 4", "global_batch = 1048576")
        self.assertNotEqual(text, STUDENT)
        error = self.refused(2, "run", self.recipe(text))
        self.assertRegex(error, r"bad\.toml:\d+:\d+: error: \[distill\] a training step does not fit [\d.]+ GB of memory; got [\d.]+ [GT]B \(weights ")
        self.assertRegex(error, r"expected micro_batch = \d+\n")
        self.assertFalse((self.root / "runs/student").exists())

    def test_a_damaged_checkpoint_is_refused_before_anything_is_written(self):
        shutil.copytree(self.root / "runs/teacher/export", self.root / "damaged")
        weights = self.root / "damaged/model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
        error = self.refused(1, "prune", self.recipe(STUDENT.replace("runs/teacher", "damaged")), "--set", "output=runs/damaged")
        self.assertIn("model.safetensors", error)
        self.assertFalse((self.root / "runs/damaged/student").exists())

    def test_a_config_that_disagrees_with_its_tensors_names_the_dimension(self):
        shutil.copytree(self.root / "runs/teacher/export", self.root / "disagrees")
        config = self.root / "disagrees/config.json"
        config.write_text(config.read_text().replace('"intermediate_size": 48', '"intermediate_size": 40'))
        error = self.refused(1, "prune", self.recipe(STUDENT.replace("runs/teacher", "disagrees")), "--set", "output=runs/disagrees")
        self.assertIn("ffn", error)
        self.assertIn("intermediate_size", error)

    def test_tokens_beyond_the_vocabulary_are_refused(self):
        (self.root / "beyond.bin").write_bytes((300).to_bytes(2, "little") * 4096)
        error = self.refused(1, "run", "student.toml", "--set", "data.train=beyond.bin", "--set", "data.token_type=uint16", "--set", "data.valid_fraction=0",
                             "--set", "output=runs/beyond")
        self.assertIn("300", error)
        self.assertIn("257", error)

    def test_two_runs_in_one_folder_do_not_mix(self):
        slow = subprocess.Popen(self.command("run", "student.toml", "--set", "output=runs/two", "--set", "distill.steps=4000"), cwd=self.root,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            while "distill" not in slow.stderr.readline():
                self.assertIsNone(slow.poll())
            error = self.refused(1, "run", "student.toml", "--set", "output=runs/two", "--set", "distill.steps=4000")
            self.assertIn("another run is at work in this folder", error)
            self.assertIn(str(slow.pid), error)
        finally:
            slow.kill()
            slow.communicate()

    def test_a_full_disk_leaves_the_earlier_state(self):
        self.run_program("prune", "student.toml", "--set", "output=runs/full")
        before = tree_digests(self.root / "runs/full/student")
        limited = subprocess.run(["bash", "-c", 'trap "" XFSZ; ulimit -f 40; exec "$@"', "-", *self.command(
            "prune", "student.toml", "--set", "output=runs/full", "--set", "prune.0.keep=28")], cwd=self.root, capture_output=True, text=True)
        self.assertEqual(limited.returncode, 1, limited.stderr)
        self.assertRegex(limited.stderr, r"error: .*(write|reserve)")
        self.assertEqual(before, tree_digests(self.root / "runs/full/student"))
        self.assertEqual([], list((self.root / "runs/full").glob(".*partial*")))

    def test_a_plugin_that_is_no_plugin_is_refused(self):
        fake = self.root / "libfake.so"
        fake.write_text("not a library")
        error = self.refused(1, "plan", "student.toml", "--set", f'plugins=["{fake}"]')
        self.assertIn(str(fake), error)

    def test_without_a_gpu_the_device_error_says_what_is_missing(self):
        if pathlib.Path("/dev/nvidia0").exists():
            self.skipTest("this machine has a GPU")
        self.assertIn("--device cuda:", self.refused(1, "run", "student.toml", "--device", "cuda"))
        self.assertIn("did you mean 'cuda'?", self.refused(2, "run", "student.toml", "--device", "cud"))

    def test_a_program_without_the_module_of_kernels_says_where_it_looked_and_what_builds_it(self):
        alone = self.root / "alone" / "espalier"
        alone.parent.mkdir()
        shutil.copy2(self.command()[0], alone)
        done = subprocess.run([alone, "doctor", "--json"], cwd=self.root, capture_output=True, text=True)
        findings = {finding["what"]: finding for finding in json.loads(done.stdout)}
        self.assertEqual("not built", findings["GPU kernels"]["state"])
        self.assertIn(f"got no espalier_cuda.so in {alone.parent}/lib", findings["CUDA"]["advice"])
        self.assertIn("-DESPALIER_CUDA=ON says what is missing", findings["CUDA"]["advice"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
