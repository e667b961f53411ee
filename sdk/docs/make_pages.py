#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a page for each kind of component from the comments of its header: python3 sdk/docs/make_pages.py [--check]

The headers are the contract; a page only makes it readable in a browser. With --check nothing is written, and a page
that differs from its header is told (exit 1).
"""

import re
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
HEADERS = DOCS.parent / "include/espalier/sdk"

# Page and header, title, the word of `espalier plugins new`, and where a recipe names it.
KINDS = {
    "metric": ("An importance metric", "metric", '`metric = { name = "NAME" }` in a `[[prune]]` block'),
    "axis": ("A pruning axis", "axis", '`axis = "NAME"` in a `[[prune]]` block'),
    "loss": ("A loss on logits", "loss", '`losses = [ { name = "NAME" } ]` in `[distill]` or `[correct]`'),
    "feature_loss": ("A loss on features", "feature-loss", '`losses = [ { name = "NAME" } ]` in `[distill]`'),
    "scheduler": ("A scheduler", "scheduler", '`scheduler = { name = "NAME" }` in `[distill]` or `[correct]`'),
}

TYPE = re.compile(r"^(struct|class|enum class) (?:ESPALIER_SDK_VISIBLE )?(\w+)(?: final)?.*\{")


def types(header):
    """Every type of a header in order: (keyword, name, lines of its comment, lines of its declaration)."""
    lines = iter(header.read_text().splitlines())
    comment = []
    for line in lines:
        match = TYPE.match(line)
        if line.startswith("//"):
            comment.append(line[2:].removeprefix(" "))
        elif match:
            body = [line]
            while not body[-1].rstrip().endswith("};"):
                body.append(next(lines))
            yield match.group(1), match.group(2), comment, body
            comment = []
        else:
            comment = []


def methods(body):
    """The virtual functions of a class in order: (comment, signature). Functions without a line between them share one."""
    comment, statement, shared = [], "", []
    for line in (line.strip() for line in body[1:-1]):
        if line.startswith("//"):
            comment.append(line[2:].removeprefix(" "))
        elif not line or line.endswith(":"):
            comment, shared = [], []
        else:
            statement = f"{statement} {line}".strip()
            if statement.endswith((";", "}")):
                if statement.startswith("virtual") and "~" not in statement:
                    shared = comment or shared
                    yield shared, statement
                comment, statement = [], ""


def paragraphs(comment):
    """Lines of a comment as paragraphs, one line each; what a Markdown reader would take for markup is kept as it is."""
    text = "\n".join(comment)
    return [" ".join(part.split()).replace("<", "&lt;") for part in re.split(r"\n\s*\n", text) if part.strip()]


def signature(statement):
    text = statement.removeprefix("virtual ").removesuffix(";").removesuffix(" = 0")
    return re.sub(r"\s+", " ", text)


def interface(name, comment, body):
    yield from paragraphs(comment)
    for said, statement in methods(body):
        word = re.search(r"(\w+)\(", statement).group(1)
        need = "required" if statement.endswith("= 0;") else "optional"
        yield f"### `{word}`, {need}"
        yield f"```cpp\n{signature(statement)};\n```"
        yield from paragraphs(said)


def page(stem):
    title, kind, recipe = KINDS[stem]
    yield f"<!-- Made by sdk/docs/make_pages.py from sdk/include/espalier/sdk/{stem}.hpp: change the header, not this page. -->"
    yield f"# {title}"
    yield f"`espalier plugins new {kind} NAME` begins one; a recipe names it by {recipe}."
    listed = list(types(HEADERS / f"{stem}.hpp"))
    for keyword, name, comment, body in listed:
        if keyword == "class":
            yield f"## The interface: `{name}`"
            yield from interface(name, comment, body)
    for keyword, name, comment, body in listed:
        if keyword != "class":
            yield f"## `{name}`"
            yield from paragraphs(comment)
            yield "```cpp\n" + "\n".join(body) + "\n```"


def main():
    check = "--check" in sys.argv[1:]
    stale = []
    for stem in KINDS:
        path, text = DOCS / f"{stem}.md", "\n\n".join(page(stem)) + "\n"
        if path.is_file() and path.read_text() == text:
            continue
        stale.append(path.name)
        if not check:
            path.write_text(text)
    for name in stale:
        print(f"sdk/docs/{name}: {'differs from its header; run python3 sdk/docs/make_pages.py' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
