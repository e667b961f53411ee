# SPDX-License-Identifier: Apache-2.0
"""The examples run, and end as their READMEs say."""

import os
import re
import subprocess
import unittest

from workspace import SOURCE


HARNESS = SOURCE / "build/lm_eval/bin/python"


class Examples(unittest.TestCase):
    def run_example(self, name, *options):
        done = subprocess.run(["bash", str(SOURCE / "examples" / name / "run.sh"), *options], capture_output=True, text=True, timeout=300, env=os.environ)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout, done.stderr

    def test_running_a_recipe_ends_with_a_proof(self):
        out, _ = self.run_example("01_run_a_recipe")
        self.assertRegex(out, r"verified: \d+ tensors equal the teacher's kept parts; \d+ hidden states equal within .* tokens\ndone\n$")
        self.assertRegex(out, r"student +\S+ .* \d\.\d+")

    def test_writing_a_recipe_shows_the_mistakes_and_the_published_count(self):
        out, err = self.run_example("02_write_a_recipe")
        for hint in ("hidden", "did you mean 'activation'?", "did you mean 'temperature'?"):
            self.assertIn(hint, err)
        self.assertIn("4,512,746,496", out)
        self.assertTrue(re.search(r"done\n$", out))

    def test_a_family_of_three_generations_ends_with_the_comparison(self):
        out, _ = self.run_example("08_family", "--small")
        counts = {name: int(count.replace(",", "")) for name, count in re.findall(r"^(\w+) +[\d,]+ +([\d,]+) +\d", out, re.MULTILINE)}
        self.assertAlmostEqual(counts["half"] / counts["teacher"], 0.5, delta=0.01)
        self.assertAlmostEqual(counts["quarter"] / counts["teacher"], 0.25, delta=0.01)
        self.assertEqual({counts["quarter_direct"], counts["quarter_direct_long"]}, {counts["quarter"]})
        self.assertRegex(out, r"quarter_direct: starts .* of the damage repaired\)\.\ndone\n$")

    @unittest.skipUnless(HARNESS.exists(), "lm-evaluation-harness is not in build/lm_eval: run `bash examples/09_lm_eval/run.sh --small`")
    def test_the_harness_and_espalier_agree(self):
        out, _ = self.run_example("09_lm_eval", "--small")
        found = re.findall(r"^accuracy.* (\d\.\d{4}) +(\d\.\d{4})$", out, re.MULTILINE)
        self.assertEqual(len(found), 2)
        self.assertRegex(out, r"\nthey agree\ndone\n$")


if __name__ == "__main__":
    unittest.main(verbosity=2)
