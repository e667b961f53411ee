#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Purpose: a family of three generations from one teacher, and the smallest cut in a single step beside it.
# Command: bash examples/08_family/run.sh [--small]
# Ends with: the comparison and "done".
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
espalier=${ESPALIER_PROGRAM:-$root/build/release/espalier}
cd "$root"

small=false data=()
if [ "${1:-}" = --small ]; then # seconds, on this project's own headers, in a folder that goes away: no numbers to look at
  small=true
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  cd "$work"
  ln -s "$root/sdk" corpus
  data=(--set 'data.train="corpus/**/*.hpp"' --set data.valid_fraction=0.2 --set eval.windows=8)
fi

run() { # RECIPE SETTING-WHEN-SMALL [SETTING...]
  if $small; then
    "$espalier" run "$1" "${data[@]}" --set score.samples=8 "${@:3}" --set "$2" --log-level warning
  else
    "$espalier" run "$1" "${@:3}"
  fi
}

echo "== the first generation: the quick start's teacher"
if [ ! -d runs/quickstart/teacher/export ]; then run "$root/recipes/quickstart/teacher.toml" correct.tokens=8192; fi
echo "== the second, half of it"
run "$here/half.toml" distill.tokens=2048
echo "== the third, half of that, with the first as its teacher"
run "$here/quarter.toml" distill.tokens=2048
echo "== its shape in a single step: with the tokens of the third, then with those of the second and the third together"
family=runs/examples/family
run "$here/quarter_direct.toml" distill.tokens=2048
run "$here/quarter_direct.toml" distill.tokens=4096 --set distill.tokens=500000 --set output=$family/quarter_direct_long

"$espalier" compare runs/quickstart/teacher $family/half $family/quarter $family/quarter_direct $family/quarter_direct_long
echo done
