#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every shell script parses and stops at its first error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bad=0
while IFS= read -r script; do
  bash -n "$script" || bad=1
  grep -q '^set -euo pipefail$' "$script" || { echo "$script: expected 'set -euo pipefail'"; bad=1; }
done < <(find setup.sh .ci/run tests examples sdk plugins core -name '*.sh' -o -path .ci/run -o -path setup.sh | sort)
exit $bad
