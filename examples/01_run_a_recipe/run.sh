#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Purpose: run two recipes, then read what they left with the program's own verbs.
# Command: bash examples/01_run_a_recipe/run.sh
# Ends with: "verified: …" and "done".
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
espalier=${ESPALIER_PROGRAM:-$root/build/release/espalier}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
ln -s "$root/sdk" corpus
cp "$here"/*.toml .

echo "== plan: exact sizes, before anything is trained"
"$espalier" run teacher.toml --log-level warning
"$espalier" plan student.toml

echo "== run: the whole pipeline"
"$espalier" run student.toml --log-level warning
ls runs/student

echo "== read: the last logged step, and the table"
tail -n 1 runs/student/metrics.jsonl
"$espalier" compare runs/teacher runs/student

echo "== prove: everything the run claims, derived again"
"$espalier" verify runs/student
echo done
