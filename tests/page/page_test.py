#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Opens report.html in headless Chromium and holds what is drawn against the comparison it was made from.

RENDER_PAGE names the program that writes the page (ctest sets it). Python's standard library only.
"""

import functools
import html.parser
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import synthetic  # noqa: E402

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PHONE, DESKTOP = (360, 800), (1280, 900)
VOID = {"meta", "link", "input", "br", "img", "hr"}
MEGABYTE = 1_000_000

FOLDER = tempfile.TemporaryDirectory(prefix="espalier-page-")
# Opens every <details> and presses what readers press, so that what they bring is looked at, too.
BUSY = """<script>addEventListener("load", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  for (const radio of document.querySelectorAll("input[type=radio]")) if (!radio.checked) radio.click();
  for (const choice of document.querySelectorAll("select")) for (const option of choice.options) { choice.value = option.value; choice.dispatchEvent(new Event("change")); }
  for (const button of document.querySelectorAll(".legend button")) { button.click(); button.click(); }
  for (const svg of document.querySelectorAll("svg[tabindex]")) for (const key of ["Home", "ArrowRight", "ArrowDown", "End"]) svg.dispatchEvent(new KeyboardEvent("keydown", { key }));
  setTimeout(() => { for (const details of document.querySelectorAll("details")) details.open = true; document.documentElement.dataset.busy = "yes"; }, 300);
  setTimeout(() => dispatchEvent(new Event("resize")), 600);
});</script>"""


class Node:
    def __init__(self, name, attributes):
        self.name, self.attributes, self.children, self.texts = name, attributes, [], []

    def find_all(self, name=None, css=None, **attributes):
        for child in self.children:
            if ((name is None or child.name == name) and (css is None or css in (child.attributes.get("class") or "").split())
                    and all(child.attributes.get(key.replace("_", "-")) == value for key, value in attributes.items())):
                yield child
            yield from child.find_all(name, css, **attributes)

    def find(self, name=None, css=None, **attributes):
        return next(self.find_all(name, css, **attributes), None)

    def text(self):
        return "".join(part if isinstance(part, str) else part.text() for part in self.texts)


class Tree(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.root = Node("#document", {})
        self.open = [self.root]
        self.feed(text)

    def handle_starttag(self, name, attributes):
        node = Node(name, dict(attributes))
        self.open[-1].children.append(node)
        self.open[-1].texts.append(node)
        if name not in VOID:
            self.open.append(node)

    def handle_endtag(self, name):
        if any(node.name == name for node in self.open[1:]):
            while self.open.pop().name != name:
                pass

    def handle_data(self, text):
        self.open[-1].texts.append(text)


def browser():
    for name in BROWSERS:
        if shutil.which(name):
            return name
    raise AssertionError("no browser; expected one of " + ", ".join(BROWSERS) + "; run bash setup.sh --tests")


def run_browser(page, size, *options):
    command = [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
               "--force-prefers-reduced-motion", f"--user-data-dir={FOLDER.name}/profile", "--virtual-time-budget=5000",
               f"--window-size={size[0]},{size[1]}", *options, page.as_uri()]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


@functools.lru_cache(None)
def comparison(kind):
    return {"schema": 1, "title": "nothing"} if kind == "empty" else getattr(synthetic, kind)()


@functools.lru_cache(None)
def page(kind, extra=""):
    folder = pathlib.Path(FOLDER.name)
    path = folder / f"{kind}{len(extra)}.html"
    (folder / f"{kind}.json").write_text(json.dumps(comparison(kind)))
    subprocess.run([os.environ["RENDER_PAGE"], folder / f"{kind}.json", path], check=True)
    if extra:
        # A page allows no other source of scripts than itself: what is put in is part of it.
        path.write_text(path.read_text().replace("</head>", extra + "</head>", 1))
    return path


@functools.lru_cache(None)
def opened(kind, size=DESKTOP, extra="", *options):
    return Tree(run_browser(page(kind, extra), size, "--dump-dom", *options)).root


def numbers(nodes, key):
    return [float(node.attributes[key]) for node in nodes]


def background(picture):
    """The first pixel of a PNG of 8-bit RGB or RGBA without interlacing: whatever its filter, it is stored as it is."""
    data, place, packed = picture.read_bytes(), 8, b""
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place:place + 8])
        if kind == b"IDAT":
            packed += data[place + 8:place + 8 + length]
        place += 12 + length
    return tuple(zlib.decompressobj().decompress(packed, 4)[1:4])


class EveryPage(unittest.TestCase):
    def test_no_script_fails_and_nothing_is_wider_than_the_window(self):
        for kind in ("small", "large", "thirty"):
            for size in (DESKTOP, PHONE):
                with self.subTest(kind=kind, size=size):
                    root = opened(kind, size).find("html")
                    self.assertEqual(root.attributes["data-ready"], "yes")
                    self.assertEqual(root.attributes["data-errors"], "[]")
                    self.assertEqual(root.attributes["data-overflow"], "0")

    def test_a_script_that_fails_would_be_seen(self):
        thrower = "<script>addEventListener('load', () => { throw new Error('seen'); });</script>"
        self.assertIn("seen", opened("small", DESKTOP, thrower).find("html").attributes["data-errors"])
        wide = "<style>h1 { width: 500px; }</style>"
        self.assertGreater(int(opened("small", PHONE, wide).find("html").attributes["data-overflow"]), 0)

    def test_everything_can_be_pressed_and_opened(self):
        for kind in ("small", "large", "empty", "nulls", "bare", "long_names"):
            for size in (DESKTOP, PHONE):
                with self.subTest(kind=kind, size=size):
                    root = opened(kind, size, BUSY).find("html")
                    self.assertEqual(root.attributes.get("data-busy"), "yes")
                    self.assertEqual(root.attributes["data-errors"], "[]")
                    self.assertEqual(root.attributes["data-overflow"], "0")

    def test_nothing_is_loaded_from_anywhere(self):
        for kind in ("small", "large"):
            text = page(kind).read_text()
            self.assertIn("default-src 'none'", text)
            self.assertNotIn("https://", text)
            self.assertEqual(text.replace('"http://www.w3.org/2000/svg"', "").count("http://"), 0)  # a name, not an address
            for node in opened(kind).find_all():
                self.assertNotIn("src", node.attributes)
                if "href" in node.attributes:
                    self.assertTrue(node.attributes["href"].startswith("#"))

    def test_thirty_and_ninety_runs_fit_in_a_megabyte(self):
        self.assertEqual(len(comparison("thirty")["runs"]), 30)
        for kind in ("thirty", "large"):
            self.assertLess(page(kind).stat().st_size, MEGABYTE)

    def test_text_that_looks_like_a_page_stays_text(self):
        self.assertEqual(opened("large").find("h1").text(), comparison("large")["title"])


class WhatIsDrawn(unittest.TestCase):
    def test_each_verdict_has_its_words_and_its_bar(self):
        for kind in ("small", "large"):
            root = opened(kind, DESKTOP, BUSY)
            cards = {int(card.attributes["data-verdict"]): card for card in root.find_all("li", "card")}
            self.assertEqual(len(cards), len(comparison(kind)["verdicts"]))
            for i, verdict in enumerate(comparison(kind)["verdicts"]):
                card = cards[i]
                self.assertIn(verdict["outcome"], card.attributes["class"].split())
                self.assertIn(verdict["outcome"], card.find("span", "chip").text())
                self.assertEqual(card.find("p", "say").text(), verdict["text"])
                bar = card.find("svg", "interval")
                for key in ("difference", "low", "high"):
                    self.assertEqual(float(bar.attributes["data-" + key]), verdict[key])

    def test_intervals_lie_where_their_numbers_say(self):
        """The three places of a bar against a straight line through two of its ticks."""
        card = opened("large").find("li", "card", data_verdict="0")
        verdict, bar = comparison("large")["verdicts"][0], card.find("svg", "interval")
        ticks = [(float(text.attributes["x"]), float(text.text().replace("−", "-"))) for text in bar.find_all("text") if "class" not in text.attributes]
        (x0, v0), (x1, v1) = ticks[0], ticks[-1]
        mark = next(path for path in bar.find_all("path") if "transform" in path.attributes)
        place = float(mark.attributes["transform"].split("(")[1].split(",")[0])
        self.assertAlmostEqual(v0 + (place - x0) * (v1 - v0) / (x1 - x0), verdict["difference"], places=6)

    def test_curves_have_a_line_for_each_arm_and_a_band_for_several_runs(self):
        for kind in ("small", "large"):
            figure = opened(kind).find(id="figure-curves")
            lines = {line.attributes["data-arm"]: line for line in figure.find_all("path", "mark")}
            self.assertEqual(set(lines), {curve["arm"] for curve in comparison(kind)["curves"]})
            self.assertEqual(len(list(figure.find_all("path", "band"))), sum(len(curve["runs"]) > 1 for curve in comparison(kind)["curves"]))
            for curve in comparison(kind)["curves"]:
                line = lines[curve["arm"]]
                self.assertEqual(int(line.attributes["data-runs"]), len(curve["runs"]))
                self.assertEqual(line.attributes["d"].count("L") + 1, int(line.attributes["data-points"]))
                mean = sum(run["loss"][-1] for run in curve["runs"]) / len(curve["runs"])
                self.assertAlmostEqual(float(line.attributes["data-last"]), mean, places=5)  # carried with six digits

    def test_quality_has_a_point_for_each_arm_and_the_line_of_the_unbeaten(self):
        for kind in ("small", "large"):
            figure, arms = opened(kind).find(id="figure-quality"), comparison(kind)["arms"]
            marks = list(figure.find_all("g", "mark"))
            self.assertEqual([mark.attributes["data-arm"] for mark in marks], [arm["name"] for arm in arms])
            self.assertEqual(numbers(marks, "data-x"), [arm["non_embedding_parameters"] for arm in arms])
            self.assertEqual(numbers(marks, "data-y"), [arm["after"]["bits_per_byte"]["mean"] for arm in arms])
            self.assertTrue(all("tabindex" in mark.attributes and mark.attributes["aria-label"] for mark in marks))
            place = {arm["name"]: (arm["non_embedding_parameters"], arm["after"]["nll"]["mean"]) for arm in arms}
            unbeaten = {a for a, (x, y) in place.items() if not any(u <= x and v < y for u, v in place.values())}
            self.assertEqual(set(figure.find("path", "pareto").attributes["data-front"].split("|")), unbeaten)
            lines = list(figure.find_all("path", "teacher"))
            self.assertEqual(sorted(numbers(lines, "data-y")), sorted(teacher["bits_per_byte"] for teacher in comparison(kind)["teachers"]))

    def test_maps_show_each_layer(self):
        for kind in ("small", "large"):
            first, figure = comparison(kind)["scores"][0], opened(kind).find(id="figure-maps")
            columns = len(first["layers"][0]) if len(first["layers"][0]) <= 128 else (len(first["layers"][0]) + 1) // 2
            for which in ("importance", "kept"):
                drawing = figure.find("svg", data_map=which)
                self.assertEqual(int(drawing.attributes["data-rows"]), len(first["layers"]))
                self.assertEqual(int(drawing.attributes["data-cells"]), columns * len(first["layers"]))
                drawn = sum(path.attributes["d"].count("M") for path in drawing.find_all("path") if "fill-opacity" in path.attributes)
                self.assertEqual(drawn, columns * len(first["layers"]))

    def test_the_laboratory_shows_each_pair_and_each_metric(self):
        lab, figure = comparison("large")["metric_lab"]["axes"][0], opened("large").find(id="figure-lab")
        marks = list(figure.find("svg", "matrix").find_all("g", "mark"))
        shown = {(int(mark.attributes["data-a"]), int(mark.attributes["data-b"])): float(mark.attributes["data-value"]) for mark in marks}
        self.assertEqual(set(shown), {(pair["a"], pair["b"]) for pair in lab["pairs"]})
        for pair in lab["pairs"]:
            self.assertAlmostEqual(shown[pair["a"], pair["b"]], pair["spearman"], places=5)
        lines = list(figure.find_all("path", "mark"))
        self.assertEqual([int(line.attributes["data-points"]) for line in lines], [len(one["points"]) for one in lab["stability"]])
        self.assertIn("One metric only", opened("small").find(id="figure-lab").text())

    def test_tables_of_figures_are_there_when_opened(self):
        root = opened("large", DESKTOP, BUSY)
        rows = lambda name: list(root.find("table", data_table=name).find("tbody").find_all("tr"))
        data = comparison("large")
        self.assertEqual(len(rows("quality")), len(data["arms"]) + len(data["teachers"]))
        for row, arm in zip(rows("quality"), data["arms"]):
            cells = [cell.text() for cell in row.children]
            self.assertEqual(cells[0], arm["name"])
            self.assertEqual(cells[1], f'{arm["after"]["bits_per_byte"]["mean"]:.4f}')
        self.assertEqual(len(rows("lab-pairs")), len(data["metric_lab"]["axes"][-1]["pairs"]))
        self.assertGreaterEqual(len(rows("curves")), len(data["curves"]))
        self.assertEqual(len(list(root.find_all("details", "as-table"))), 4)


class WithoutScript(unittest.TestCase):
    def test_verdicts_arms_runs_failures_and_protocol_are_plain_html(self):
        root, data = Tree(page("large").read_text()).root, comparison("large")
        text = root.find("main").text()
        for verdict in data["verdicts"]:
            self.assertIn(verdict["text"], text)
        for arm in data["arms"]:
            self.assertIn(f'{arm["after"]["nll"]["mean"]:.4f} ± {arm["after"]["nll"]["sd"]:.4f}', text)
            self.assertIn(f'{arm["non_embedding_parameters"]:,}', text)
        runs = list(root.find("section", id="runs").find("tbody").find_all("tr"))
        self.assertEqual([row.children[0].text() for row in runs], [run["name"] for run in data["runs"]])
        self.assertEqual([row.attributes.get("class") == "failed" for row in runs], [run["state"] == "failed" for run in data["runs"]])
        for failed in data["failed"]:
            self.assertIn(failed["error"], root.find("section", id="failed").text())
        self.assertIn(data["environment"]["cpu"], text)

    def test_what_a_small_comparison_lacks_is_left_out(self):
        text = Tree(page("small").read_text()).root.find("main").text()
        for absent in ("nll before", "decode", "Choice tasks", "Failed runs", "Before distillation"):
            self.assertNotIn(absent, text)


class Dark(unittest.TestCase):
    def test_the_page_follows_the_system(self):
        found = []
        for scheme in ("1", "0"):  # light, dark
            picture = pathlib.Path(FOLDER.name) / f"scheme{scheme}.png"
            run_browser(page("small"), DESKTOP, f"--screenshot={picture}", f"--blink-settings=preferredColorScheme={scheme}")
            found.append(background(picture))
        self.assertEqual(found, [(0xFB, 0xFA, 0xF7), (0x14, 0x17, 0x1A)])  # --paper of both


if __name__ == "__main__":
    unittest.main()
