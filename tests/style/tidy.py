#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang-tidy over core/ and plugins/ (and, through them, over sdk/): python3 tests/style/tidy.py [--seconds N] [FILE...]

A file that passed is not looked at again until it, a header of ours that it includes, or .clang-tidy changes: the
digests of passed files are kept in the user's cache folder. After N seconds no further file is begun, so a cold run is
bounded and the next run goes on where this one stopped. Exits 1 when a file has findings.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "espalier" / "tidy"
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def torch_includes():
    folders = list(ROOT.glob(".venv/lib/python3*/site-packages/torch/include"))
    if not folders:
        sys.exit("tidy.py: LibTorch not found; expected .venv: run `bash setup.sh`")
    return ["-idirafter", folders[0], "-idirafter", folders[0] / "torch/csrc/api/include"]


def generated():
    return [folder for folder in (ROOT / "build/dev" / name for name in ("core/data",)) if folder.is_dir()]


def flags():
    return ["-std=c++20", "-I", ROOT, "-I", ROOT / "sdk/include", *(f"-I{folder}" for folder in generated()), *torch_includes()]


def closure(path, seen):
    """The file and every header of ours that it reaches."""
    if path in seen:
        return
    seen.add(path)
    for name in INCLUDE.findall(path.read_text()):
        for folder in (path.parent, ROOT, ROOT / "sdk/include", *generated()):
            if (folder / name).is_file():
                closure((folder / name).resolve(), seen)
                break


def digest(path, version):
    files = set()
    closure(path, files)
    total = hashlib.sha256(version)
    for file in [ROOT / ".clang-tidy", *sorted(files)]:
        total.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()


def check(path, key, deadline):
    if (CACHE / key).exists():
        return "known", ""
    if time.monotonic() > deadline:
        return "left", ""
    command = ["clang-tidy", "-quiet", path, "--", *flags()]
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode == 0:
        (CACHE / key).touch()
        return "passed", ""
    return "failed", result.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("files", nargs="*", type=Path)
    arguments = parser.parse_args()
    files = [file.resolve() for file in arguments.files] or sorted(
        path for area in ("core", "plugins") for path in (ROOT / area).rglob("*.cpp"))
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True).stdout
    CACHE.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + arguments.seconds
    count = {"known": 0, "passed": 0, "failed": 0, "left": 0}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for state, text in pool.map(lambda path: check(path, digest(path, version), deadline), files):
            count[state] += 1
            if text:
                print(text, flush=True)
    print(f"clang-tidy: {count['passed']} files passed, {count['known']} unchanged since they passed, "
          f"{count['failed']} with findings, {count['left']} left for the next run")
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
