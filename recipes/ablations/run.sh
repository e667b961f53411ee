#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Set-up, build, the quick start's teacher, and then ablations of the papers as sweeps, each with its report.html.
#
#   bash recipes/ablations/run.sh [NAME ...] [-- OPTIONS OF ESPALIER SWEEP]
#
# NAME is that of a recipe beside this file (width-vs-depth); without one the whole set runs, about an hour on two cores.
# Stopped, it resumes; what is done is not run again. Without options there is a run at work on each core: models of this size
# gain more from that than from a second thread.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

all=(width-vs-depth initialisation distillation-vs-cross-entropy losses depth teacher-correction aggregations metrics
  iterative samples teachers width-vs-depth.teachers distillation-vs-cross-entropy.longer)
names=()
while [ $# -gt 0 ]; do
  case $1 in
    --) shift; break ;;
    -h | --help) sed -n '3,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *)
      [[ " ${all[*]} " == *" $1 "* ]] || { printf "run.sh: error: no such ablation; got '%s'; expected one of: %s\n" "$1" "${all[*]}" >&2; exit 2; }
      names+=("$1") ;;
  esac
  shift
done
[ ${#names[@]} -gt 0 ] || names=("${all[@]}")

bash setup.sh
preset=${ESPALIER_PRESET:-release}  # dev: the build that the tests have made
cmake --preset "$preset" >/dev/null
jobs=$(bash tests/jobs.sh)
[ $# -gt 0 ] || set -- --jobs "$jobs"
cmake --build --preset "$preset" --parallel "$jobs"
espalier=build/$preset/espalier

failed=()
[ -d runs/quickstart/teacher/export ] || $espalier run recipes/quickstart/teacher.toml
for name in "${names[@]}"; do
  printf '\n== %s\n' "$name"
  $espalier sweep "recipes/ablations/$name.toml" "$@" || failed+=("$name")
done
printf '\nreports:\n'
for name in "${names[@]}"; do printf '  runs/ablations/%s/report.html\n' "$name"; done
if [ ${#failed[@]} -gt 0 ]; then
  printf 'failed, in part or whole: %s\n' "${failed[*]}" >&2
  exit 1
fi
