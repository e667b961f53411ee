#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Everything that is timed on a GPU, beside its peers, in one run: set-up, build, the tests on the GPU, then the
# distillation head alone, and of each pair the importance pass of its teacher, pruning, and whole steps.
#
#   bash tests/bench/gpu.sh [PAIR ...]     PAIR: 3b-1b, 8b-4.5b or 12b-8b (tests/bench/gpu/shapes.py); without one all that fit
#
# Pruning needs room for both models in TMPDIR, 41 GB for 12b-8b. PYTHON names the interpreter of the peers (default
# .venv/bin/python). torch.compile and Liger need packages that the set-up does not install (networkx, jinja2, triton,
# liger-kernel); a peer that is missing is said to be so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

pairs=("$@")
[ ${#pairs[@]} -gt 0 ] || pairs=(3b-1b 8b-4.5b 12b-8b)

bash tests/run.sh --device cuda -R '^cuda'
espalier=build/dev/espalier
"$espalier" doctor
nvidia-smi --query-gpu=name,memory.total,driver_version,clocks.sm,power.limit --format=csv,noheader
python=${PYTHON:-.venv/bin/python}
printf '\n== the distillation head\n'
PYTHON=$python tests/bench/kd_head/run.py build/dev/tests/bench/kd_head/kd_head_bench --device cuda
for pair in "${pairs[@]}"; do
  printf '\n== %s\n' "$pair"
  "$python" tests/bench/gpu/score.py "$espalier" "${pair%%-*}" || printf '%s: the importance pass could not be measured\n' "$pair"
  "$python" tests/bench/gpu/slice.py "$espalier" "$pair" || printf '%s: pruning could not be measured\n' "$pair"
  settings=cheap,none,none+graph
  [ "$pair" != 12b-8b ] || settings=cheap+moments+gradients,layers+moments  # what fits one H200 beside the teacher
  "$python" tests/bench/gpu/step.py "$espalier" "$pair" --settings "$settings" || printf '%s: steps could not be measured\n' "$pair"
done
