#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A plugin exports its entry, and type information for exceptions that cross the border; nothing else.
#   bash tests/sdk/exports.sh LIBRARY...
set -euo pipefail
bad=0
for library in "$@"; do
  exported=$(nm -D --defined-only "$library" | awk '{print $NF}' | grep -v '^_ZT[IS]' || true)
  if [ "$exported" != espalier_plugin ]; then
    printf "%s: exports more or less than its entry; got %s; expected 'espalier_plugin'\n" "$library" "'${exported//$'\n'/ }'"
    bad=1
  fi
done
exit $bad
