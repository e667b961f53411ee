#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Purpose: write a recipe step by step, letting the program say what is wrong and what there is to choose from.
# Command: bash examples/02_write_a_recipe/run.sh
# Ends with: the planned sizes and "done".
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
espalier=${ESPALIER_PROGRAM:-$root/build/release/espalier}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir model
cp "$here/config.json" model/

echo "== 1. what can be cut, and by which metric"
"$espalier" plugins list

echo "== 2. the options of a metric"
"$espalier" plugins show activation

echo "== 3. a first try has mistakes; they are told all at once"
if "$espalier" plan "$here/first_try.toml"; then exit 1; fi

echo "== 4. the finished recipe: Llama-3.1-8B cut to Minitron's 4B width shape, planned from config.json alone"
"$espalier" plan "$here/finished.toml"
echo done
