// SPDX-License-Identifier: Apache-2.0
// Training loss against tokens: mean and range over the runs of each arm.

const interpolated = (run, token) => {
  const { tokens, loss } = run;
  if (token < tokens[0] || token > tokens[tokens.length - 1]) return null;
  let high = tokens.findIndex((value) => value >= token);
  if (tokens[high] === token || high === 0) return loss[high];
  const part = (token - tokens[high - 1]) / (tokens[high] - tokens[high - 1]);
  return loss[high - 1] + part * (loss[high] - loss[high - 1]);
};

// Where all runs of an arm have a value: [{token, mean, low, high}].
const summarise = (curve) => {
  const runs = (curve.runs ?? []).filter((run) => run.tokens?.length);
  if (!runs.length) return [];
  const grid = runs.reduce((most, run) => (run.tokens.length > most.length ? run.tokens : most), []);
  return grid.flatMap((token) => {
    const values = runs.map((run) => interpolated(run, token)).filter(isNumber);
    if (values.length < runs.length) return [];
    return [{ token, mean: values.reduce((sum, value) => sum + value, 0) / values.length, low: Math.min(...values), high: Math.max(...values) }];
  });
};

const drawCurves = (host) => {
  const series = (data.curves ?? []).map((curve) => ({ curve, name: curve.arm, points: summarise(curve), style: armLook(curve.arm) })).filter((one) => one.points.length);
  if (!series.length) return;
  const hidden = new Set();
  let from = 0;
  const readout = html("p", { class: "readout", role: "status" }, "Point at the curves, or focus them and use the arrow keys.");
  const panel = html("div", {});
  const again = responsive(panel, (width) => curvePlot(series.filter((one) => !hidden.has(one.name)), from, width, readout));
  host.replaceChildren(
    html("div", { class: "controls" }, radios("Show", "curve-part", [["0", "the whole training"], ["0.1", "all but the first tenth"], ["0.5", "the second half"]], "0",
      (value) => { from = Number(value); again(); })),
    html("div", { class: "panel" }, panel, legend(series, hidden, again), readout),
    tableDetails("Curves as a table", () => curveTable(series)));
};

const curvePlot = (series, from, width, readout) => {
  const all = series.flatMap((one) => one.points), last = Math.max(...all.map((point) => point.token), 1);
  const start = from > 0 ? from * last : Math.min(...all.map((point) => point.token), last);
  const shown = series.map((one) => ({ ...one, points: one.points.filter((point) => point.token >= start) })).filter((one) => one.points.length);
  const values = shown.flatMap((one) => one.points);
  const low = Math.min(...values.map((point) => point.low)), high = Math.max(...values.map((point) => point.high));
  const named = width > 620, longest = Math.max(0, ...shown.map((one) => one.name.length));
  const { node, X, Y, box } = axes(width, named ? 380 : 280, { domain: [start, Math.max(last, start + 1)], label: "tokens trained on", format: count },
    { domain: values.length ? padded(low, high) : [0, 1], label: "training loss", format: (value) => digits(value) },
    `Training loss against tokens of ${shown.length} arms`, { room: named ? Math.min(190, 18 + 7 * longest) : 14, class: "plot" });
  const bands = svg("g", {}), lines = svg("g", {});
  for (const { name, points: list, style, curve } of shown) {
    const place = (key) => list.map((point) => [X(point.token), Y(point[key])]);
    if (curve.runs.length > 1) bands.append(svg("path", { class: "band", fill: style.color, d: points([...place("high"), ...place("low").reverse()]) + "Z" }));
    lines.append(svg("path", { class: "line mark", stroke: style.color, "stroke-dasharray": style.dash || null, d: points(place("mean")), "data-arm": name, "data-points": list.length, "data-runs": curve.runs.length, "data-last": list[list.length - 1].mean }));
  }
  node.append(bands, lines);
  if (named) endLabels(node, shown.map(({ name, points: list, style }) => ({ name, color: style.color, y: Y(list[list.length - 1].mean) })), box.right + 8, box.top, box.bottom);
  if (shown.length) curveCursor(node, shown, X, box, readout);
  return node;
};

const curveCursor = (node, shown, X, box, readout) => {
  const grid = shown.reduce((most, one) => (one.points.length > most.length ? one.points : most), []).map((point) => point.token);
  const cursor = svg("path", { class: "cursor" });
  node.append(cursor);
  const nearest = (list, token) => list.reduce((best, point) => (Math.abs(point.token - token) < Math.abs(best.token - token) ? point : best));
  const find = (x) => grid.reduce((best, token, i) => (Math.abs(X(token) - x) < Math.abs(X(grid[best]) - x) ? i : best), 0);
  explorable(node, grid.length, find, (step) => {
    cursor.setAttribute("d", `M${X(grid[step])},${box.top}V${box.bottom}`);
    readout.textContent = `After ${count(grid[step])} tokens: ` + shown.map((one) => `${one.name} ${digits(nearest(one.points, grid[step]).mean, 4)}`).join(", ");
  })({ ArrowLeft: -1, ArrowRight: 1, Home: 0, End: 0 });
};

const curveTable = (series) => table("Training loss by arm (mean over runs, lowest and highest)", ["arm", "loss terms", "runs", "tokens", "mean", "lowest", "highest"],
  series.flatMap(({ name, curve, points: list }) => {
    const step = Math.max(1, Math.ceil(list.length / 12));
    return list.filter((_, i) => (list.length - 1 - i) % step === 0).map((point) =>
      [name, (curve.terms ?? []).join(", ") || nothing, curve.runs.length, count(point.token), digits(point.mean, 4), digits(point.low, 4), digits(point.high, 4)]);
  }), "curves");
