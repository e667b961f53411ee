#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the plugin beside a recipe against an installed SDK, runs that recipe and the one to compare it with, and prints
# what both cost and reached.
#
#   bash examples/compare.sh examples/03_apoz/apoz.toml recipes/quickstart/width.toml [-- OPTIONS OF ESPALIER RUN]
#
# Needs the program (bash examples/quickstart.sh builds it). Stopped, it resumes; what is done is not run again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ $# -lt 2 ] || [ "${3:---}" != -- ]; then
  sed -n '3,8s/^# \{0,1\}//p' examples/compare.sh >&2
  exit 2
fi
recipe=$1 other=$2
shift $(($# < 3 ? 2 : 3))
folder=$(dirname "$recipe")

prefix=${ESPALIER_PREFIX:-}  # an installed Espalier; without one the build is installed for the purpose
if [ -z "$prefix" ]; then
  prefix=$PWD/build/installed
  cmake --install build/release --prefix "$prefix" >/dev/null
fi
cmake -S "$folder" -B "$folder/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$prefix"
cmake --build "$folder/build"

teacher=runs/quickstart/teacher
if [ ! -d $teacher/export ]; then "$prefix/bin/espalier" run recipes/quickstart/teacher.toml; fi
"$prefix/bin/espalier" run "$other" "$@"
"$prefix/bin/espalier" run "$recipe" "$@"
"$prefix/bin/espalier" compare "runs/quickstart/$(basename "$other" .toml)" "runs/examples/$(basename "$recipe" .toml)"
