# SPDX-License-Identifier: Apache-2.0
"""Three ranks of which one fails or is killed: all end soon, and one line says which rank it was and why."""

import os
import re
import subprocess
import time
import unittest


def end(how, rank):
    """Exit code, the lines of ours on stderr, stdout."""
    began = time.monotonic()
    done = subprocess.run([os.environ["MPIRUN"], "-n", "3", os.environ["ENDING_RANKS"], how, str(rank)],
                          capture_output=True, text=True, timeout=60)
    assert time.monotonic() - began < 30, done.stderr
    return done.returncode, [line for line in done.stderr.splitlines() if "error: " in line], done.stdout


class Ending(unittest.TestCase):
    def test_ranks_that_are_done_leave_without_a_word(self):
        code, errors, out = end("done", 1)
        self.assertEqual((code, errors), (0, []))
        self.assertEqual(sorted(out.splitlines()), [f"rank {rank} is done" for rank in range(3)])

    def test_a_rank_that_fails_is_named_by_rank_0_and_all_end(self):
        for rank in range(3):
            code, errors, out = end("error", rank)
            self.assertEqual(errors, [f"[0] error: rank {rank} of 3: the disk is full"])
            self.assertEqual((code, out), (1, ""))

    def test_a_mistake_of_the_user_keeps_its_place_and_its_exit_code(self):
        for rank in (0, 2):
            code, errors, out = end("recipe", rank)
            self.assertEqual(errors, ["[0] error: recipe.toml:1:2: error: no such key"])
            self.assertEqual((code, out), (2, ""))

    def test_the_same_error_everywhere_is_said_once(self):
        code, errors, out = end("everywhere", 0)
        self.assertEqual(errors, ["[0] error: rank 0 of 3: the disk is full"])
        self.assertEqual((code, out), (1, ""))

    def test_a_rank_that_is_killed_is_named_and_the_others_end(self):
        for rank in range(3):
            code, errors, out = end("killed", rank)
            self.assertNotEqual(code, 0)
            self.assertEqual(out, "")
            self.assertTrue(errors, rank)
            for line in errors:
                self.assertRegex(line, rf"^\[{1 if rank == 0 else 0}\] error: rank {rank} of 3 is lost \(.*on .*\); got the end of its connection "
                                 r"without a word; expected it to go on \(it was killed, or its machine failed\); all ranks stop, and the "
                                 r"same command goes on from the last checkpoint$")
            self.assertEqual(len(errors), 1)


if __name__ == "__main__":
    unittest.main()
