#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the rules of the house that a compiler does not: python3 tests/style/dependencies.py [ROOT]

- sdk/ includes neither core/ nor plugins/; plugins/ include only the SDK, their own files, LibTorch and the standard
  library; a folder of core/ includes only itself and the folders below it; tests and examples may include anything.
- a kernel (.cu, .cuh) includes nothing of LibTorch: nvcc sees pointers, the .cpp file beside it sees tensors.
- no file of core/ names a component of plugins/: the host knows kinds, never names.
- every source file begins with its licence line.
- README files and CONTRIBUTING name only paths that exist.

Prints one line for each violation and exits 1, or exits 0.
"""

import re
import sys
from pathlib import Path

# Each folder of core/ and those it may include, by rank: a folder may include every folder of a lower rank.
RANKS = [
    ["base"],
    ["recipe", "stats"],
    ["plugin", "model"],
    ["checkpoint", "comm", "data", "ops"],
    ["forward"],
    ["eval"],
    ["importance", "prune", "train"],
    ["search"],
    ["run", "report", "scaffold"],
    ["check", "sweep"],
    ["cli"],
]
RANK = {folder: rank for rank, folders in enumerate(RANKS) for folder in folders}
RANK["main.cpp"] = len(RANKS)
RANK["cuda"] = len(RANKS)  # loaded at run time, so nothing may include it; it may use all of core

# What a plugin may include in quotes or with a folder: these belong to LibTorch.
TORCH = ("ATen/", "c10/", "torch/")
SYSTEM_OF_CORE_ONLY = ("boost/", "toml++/", "spdlog/", "fmt/", "nlohmann/", "openssl/")

SOURCES = {".cpp", ".hpp", ".cu", ".cuh", ".h", ".py", ".sh"}
TOP_FOLDERS = ("sdk", "core", "plugins", "tests", "examples")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
REGISTERED = re.compile(r'\.add<[^>]+>\s*\(\s*"([^"]+)"')
# A comparison with a string literal, in either order: name == "kl", "kl" != name.
COMPARED = r'(?:\b\w+(?:\(\))?\s*[!=]=\s*"{0}"|"{0}"\s*[!=]=)'
# Words that a component shares with something else: [distill] init = "random" is no metric, rope's "linear" no scheduler,
# recompute = "layers" no axis.
SHARED_WORDS = re.compile(r'init [!=]= "random"|type [!=]= "linear"|recompute [!=]= "layers"')
# `a/path` or `file.ext` in backquotes, and links to files.
MENTIONED = re.compile(r"`([\w.][\w./-]*)`|\]\(([^)#:\s]+)[^)]*\)")


def sources(root):
    for top in TOP_FOLDERS:
        for path in sorted((root / top).rglob("*")):
            built = "build" in path.relative_to(root).parts  # an example's build folder, inside the example
            if path.is_file() and path.suffix in SOURCES and not built:
                yield path
    for name in ("setup.sh", ".ci/run"):
        if (root / name).is_file():
            yield root / name


def includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def rank_of(include):
    parts = include.split("/")
    return parts[1], RANK.get(parts[1])


def check_includes(root, path, relative):
    area = relative.parts[0]
    for number, quote, include in includes(path):
        place = f"{relative}:{number}"
        of_core, of_plugins = include.startswith("core/"), include.startswith("plugins/")
        if area == "sdk" and (of_core or of_plugins):
            yield f"{place}: sdk/ includes nothing of core/ or plugins/; got {include}"
        if area == "plugins":
            foreign = of_core or include.startswith(SYSTEM_OF_CORE_ONLY)
            own = include.startswith("plugins/") and relative.parts[1] == include.split("/")[1]
            beside = quote == '"' and "/" not in include and (path.parent / include).is_file()
            known = include.startswith(TORCH + ("espalier/sdk/",)) or own or beside
            if foreign or (quote == '"' and not known) or (of_plugins and not own):
                yield f"{place}: a plugin includes only the SDK, its own files, LibTorch and the standard library; got {include}"
        if relative.suffix in {".cu", ".cuh"} and include.startswith(TORCH):
            yield f"{place}: a kernel includes nothing of LibTorch; got {include}"
        if area == "core":
            yield from check_core_include(place, relative.parts[1], include)


def check_core_include(place, folder, include):
    if include.startswith("plugins/"):
        yield f"{place}: core/ includes nothing of plugins/; got {include}"
    if folder not in RANK:
        yield f"{place}: a folder of core/ without a rank; got core/{folder}; expected one of {', '.join(RANK)}"
        return
    if include.startswith("core/"):
        other, rank = rank_of(include)
        if rank is None:
            yield f"{place}: an unknown folder of core/; got {include}"
        elif other != folder and rank >= RANK[folder]:
            lower = ", ".join(name for name in RANK if RANK[name] < RANK[folder]) or "nothing"
            yield f"{place}: core/{folder} includes only itself and what is below it ({lower}); got {include}"


def component_names(root):
    names = set()
    for path in sorted((root / "plugins").glob("*/plugin.cpp")):
        names.update(REGISTERED.findall(path.read_text()))
    return names


def check_names(path, relative, comparison):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = comparison.search(line)
        if match and not SHARED_WORDS.fullmatch(match.group(0)):
            yield f"{relative}:{number}: the host knows kinds, never names; got {match.group(0)}"


def check_licence(path, relative):
    lines = path.read_text().splitlines()[:2]
    if lines and lines[0].startswith("#!"):
        lines = lines[1:]
    if not lines or "SPDX-License-Identifier: Apache-2.0" not in lines[0]:
        yield f"{relative}:1: expected SPDX-License-Identifier: Apache-2.0 in the first line"


# Folders that only a build or a run makes; pages may speak of them.
MADE = ("build", "runs", ".venv", "models", "data", "checkpoints", "scores", "export", "student", "teacher", "tensorboard")


def check_page(root, path, relative):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        for quoted, linked in MENTIONED.findall(line):
            name = (quoted or linked).rstrip("/")
            first = name.split("/")[0]
            if quoted and ("/" not in quoted or not (root / first).exists()):
                continue  # code, an option, a word of a contract: not a path of ours
            if first in MADE or (path.parent / name).exists() or (root / name).exists():
                continue
            yield f"{relative}:{number}: a path that does not exist; got {quoted or linked}"


def pages(root):
    yield from (path for path in (root / "CONTRIBUTING.md", root / "README.md", root / "CHANGELOG.md") if path.is_file())
    for top in TOP_FOLDERS + ("recipes",):
        yield from sorted((root / top).rglob("README.md"))


def violations(root):
    names = component_names(root)
    comparison = re.compile("|".join(COMPARED.format(re.escape(name)) for name in sorted(names))) if names else None
    for path in sources(root):
        relative = path.relative_to(root)
        yield from check_licence(path, relative)
        if path.suffix in {".cpp", ".hpp", ".cu", ".cuh", ".h"}:
            yield from check_includes(root, path, relative)
            if comparison and relative.parts[0] == "core":
                yield from check_names(path, relative, comparison)
    for path in pages(root):
        yield from check_page(root, path, path.relative_to(root))


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()
    found = list(violations(root))
    print("\n".join(found) if found else "no violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
