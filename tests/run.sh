#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Set-up, build and tests in one command; ends with ctest's closing lines and its exit code.
#
#   bash tests/run.sh [--preset dev|asan|ci] [--device cuda] [-R REGEX] [-- ARGUMENTS OF CTEST]
#
# --device cuda also runs the tests of kernels on the GPU (ctest cuda_on_gpu); without a usable GPU they fail and say why.
# With CI=true in the environment warnings are errors in every preset, and folders are compiled as a whole.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=dev device=cpu
ctest_arguments=(--no-tests=error)
while [ $# -gt 0 ]; do
  case $1 in
    --preset) preset=${2:-}; shift ;;
    --device) device=${2:-}; shift ;;
    -R) ctest_arguments+=(-R "${2:?-R needs a regular expression}"); shift ;;
    --) shift; ctest_arguments+=("$@"); break ;;
    -h | --help) sed -n '3,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) printf "run.sh: error: unknown option; got '%s'; expected --preset, --device, -R or --\n" "$1" >&2; exit 2 ;;
  esac
  shift
done
case $preset in
  dev | asan | ci) ;;
  *) printf "run.sh: error: unknown preset; got '%s'; expected dev, asan or ci\n" "$preset" >&2; exit 2 ;;
esac

case $device in
  cpu | cuda) ;;
  *) printf "run.sh: error: unknown device; got '%s'; expected cpu or cuda\n" "$device" >&2; exit 2 ;;
esac

bash setup.sh --tests
configure=(cmake --preset "$preset" -DESPALIER_TEST_DEVICE="$device")
# The GPU's tests need the module: where it cannot be built, say so now.
if [ "$device" = cuda ]; then configure+=(-DESPALIER_CUDA=ON); fi
if [ "${CI:-}" = true ]; then configure+=(-DESPALIER_WERROR=ON -DESPALIER_UNITY=ON); fi
"${configure[@]}" >/dev/null
cmake --build --preset "$preset" --parallel "$(bash tests/jobs.sh)"
ctest --preset "$preset" "${ctest_arguments[@]}"
