#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Set-up, build, and the main job: trains a small teacher, prunes it to half by width and by depth, distils both and a
# control that starts from random weights, and compares them. 3 to 6 minutes on 2 cores after the build.
#
#   bash examples/quickstart.sh [--small] [-- OPTIONS OF ESPALIER RUN]
#
# --small takes about a minute, for a look at the machinery: the numbers mean little. Stopped, it resumes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

small=false
while [ $# -gt 0 ]; do
  case $1 in
    --small) small=true ;;
    --) shift; break ;;
    -h | --help) sed -n '3,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) printf "quickstart.sh: error: unknown option; got '%s'; expected --small or --\n" "$1" >&2; exit 2 ;;
  esac
  shift
done

bash setup.sh
preset=${ESPALIER_PRESET:-release}  # dev: the build that the tests have made
cmake --preset "$preset" >/dev/null
cmake --build --preset "$preset" --parallel "$(bash tests/jobs.sh)"
espalier=build/$preset/espalier

runs=runs/quickstart
teacher_options=() student_options=()
if $small; then
  runs=runs/quickstart-small
  teacher_options=(--set correct.tokens=200000 --set eval.windows=32)
  student_options=(--set teacher.path=$runs/teacher --set distill.tokens=50000 --set score.samples=32 --set eval.windows=32)
fi

$espalier run recipes/quickstart/teacher.toml --set output=$runs/teacher "${teacher_options[@]}" "$@"
for arm in width depth random; do
  $espalier run recipes/quickstart/$arm.toml --set output=$runs/$arm "${student_options[@]}" "$@"
done

$espalier compare --baseline width $runs/teacher $runs/width $runs/depth $runs/random
printf '\nexported models:\n'
printf '  %s\n' $runs/{teacher,width,depth,random}/export
