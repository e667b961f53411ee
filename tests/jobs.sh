#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How many compilers may run at once: one for each core, and 2 GB of free memory for each (LibTorch's headers are heavy).
set -euo pipefail
cores=$(nproc)
memory=$(awk '/^MemAvailable/ {print int($2 / 2000000)}' /proc/meminfo)
echo $((memory < 1 ? 1 : memory < cores ? memory : cores))
