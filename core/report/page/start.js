// SPDX-License-Identifier: Apache-2.0
const drawn = [
  [drawVerdicts, "verdicts"], [drawCurves, "figure-curves"], [drawQuality, "figure-quality"], [drawMaps, "figure-maps"], [drawLab, "figure-lab"],
];
for (const [draw, id] of drawn) {
  const host = document.getElementById(id);
  if (!host) continue;
  try {
    draw(host);
  } catch (error) {
    report(`${id}: ${error.stack ?? error}`);
    if (host.className === "figure") host.replaceChildren(html("p", { class: "none" }, "This figure could not be drawn."));
  }
}
// On paper everything is open.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((details) => (details.open = true)));
// Read by tests: how far the page is wider than its window.
const measure = () => (root.dataset.overflow = root.scrollWidth - root.clientWidth);
addEventListener("resize", measure);
addEventListener("load", () => { measure(); root.dataset.ready = "yes"; });
