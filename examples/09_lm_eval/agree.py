# SPDX-License-Identifier: Apache-2.0
"""Prints the accuracies of `espalier eval --json` beside those of the harness; ends with 1 when they differ.

    python agree.py OURS.json FOLDER-OF-THE-HARNESS TASK-OF-ESPALIER TASK-OF-THE-HARNESS
"""

import json
import pathlib
import sys


def main():
    ours, folder, task, name = sys.argv[1:]
    mine = json.loads(pathlib.Path(ours).read_text())["tasks"][task]
    (results,) = pathlib.Path(folder).rglob("results_*.json")
    theirs = json.loads(results.read_text())["results"][name]
    same = True
    print(f"{'':22}{'espalier':>10}{'lm_eval':>10}   of {mine['items']} items")
    for label, key, other in [("accuracy", "accuracy", "acc,none"), ("accuracy by length", "accuracy_norm", "acc_norm,none")]:
        print(f"{label:22}{mine[key]:10.4f}{theirs[other]:10.4f}")
        same = same and abs(mine[key] - theirs[other]) < 1e-9
    print("they agree" if same else "THEY DIFFER")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
