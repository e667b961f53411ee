// SPDX-License-Identifier: Apache-2.0
// The metric laboratory: agreement of metrics, overlap of what they keep, samples that a choice needs.
const measures = [
  { key: "spearman", label: "rank correlation (Spearman)", of: (pair) => pair.spearman },
  { key: "kendall", label: "Kendall's tau-b", of: (pair) => pair.kendall },
  { key: "share", label: "kept in common", of: (pair, target) => pair.overlap?.[target]?.share, share: true },
];

const drawLab = (host) => {
  const places = data.metric_lab?.axes ?? [];
  if (!places.length) return;
  const teacherOf = (place) => (data.runs ?? []).find((run) => run.name === place.runs?.[0])?.teacher ?? String(place.teacher).slice(0, 8);
  const several = new Set(places.map((place) => place.teacher)).size > 1;
  const body = html("div", {});
  let measure = measures[0], at = 0, target = 0;
  const show = () => {
    const place = places[at], style = (i) => look(i);
    body.replaceChildren(html("div", { class: "pair" }, matrixPanel(place, measure, target), samplesPanel(place, target, style)), mapsPanel(place),
      tableDetails("Metric laboratory as a table", () => labTables(place)));
  };
  const controls = html("div", { class: "controls" });
  const choose = (value) => {
    [at, target] = [Number(value), 0];
    const targets = places[at].targets ?? [];
    controls.replaceChildren(
      select("Axis", places.map((place, i) => [String(i), several ? `${place.axis}, teacher ${teacherOf(place)}` : place.axis]), String(at), choose),
      radios("Matrix", "measure", measures.map(({ key, label }) => [key, label]), measure.key, (key) => { measure = measures.find((one) => one.key === key); show(); }));
    if (targets.length > 1) controls.append(select("Kept", targets.map((one, i) => [String(i), targetText(one)]), "0", (i) => { target = Number(i); show(); }));
    show();
  };
  host.replaceChildren(controls, body);
  choose("0");
};

const targetText = (target) => {
  const sum = (list) => list.reduce((total, value) => total + value, 0);
  return target.keep.length === 1 ? `${target.keep[0]} of ${target.of[0]}` : `${percent(sum(target.keep) / sum(target.of))} of all units`;
};

const matrixPanel = (place, measure, target) => {
  const box = html("div", { class: "panel" }, html("h3", {}, measure.share ? "Would they keep the same units?" : "Do metrics agree?"));
  if (!(place.pairs ?? []).length) {
    box.append(html("p", { class: "none" }, "One metric only, or none from the same calibration: nothing to compare."));
    return box;
  }
  const holder = html("div", {});
  const chance = place.targets?.[target]?.chance?.share;
  const readout = html("p", { class: "readout", role: "status" }, measure.share && isNumber(chance) ? `Percent of kept units in common; two random choices would have ${percent(chance)}.` : `${measure.label[0].toUpperCase()}${measure.label.slice(1)}, mean over layers.`);
  box.append(holder, readout);
  responsive(holder, (width) => matrix(place, measure, target, width, readout));
  return box;
};

const matrix = (place, measure, target, width, readout) => {
  const names = place.metrics.map((metric) => metric.label), size = names.length, letters = Math.min(28, Math.max(...names.map((name) => name.length)));
  const left = Math.min(width * 0.5, 6.6 * letters + 34), cell = Math.min(64, (width - left - 2) / size), height = Math.min(cell, 40);
  const node = svg("svg", { viewBox: `0 0 ${width} ${24 + height * size}`, width, height: 24 + height * size, role: "group", "aria-label": measure.label, class: "matrix", "data-measure": measure.key });
  names.forEach((name, i) => {
    const room = Math.floor((left - 30) / 6.6);
    node.append(svg("text", { x: left + (i + 0.5) * cell, y: 15, "text-anchor": "middle" }, String(i + 1)),
      svg("text", { class: "strong", x: 0, y: 24 + (i + 0.5) * height + 4 }, `${i + 1}  ${cut(name, room)}`, svg("title", {}, name)));
  });
  for (const pair of place.pairs) {
    const value = measure.of(pair, target), layers = (pair.layers ?? []).filter(isNumber);
    const text = `${names[pair.a]} and ${names[pair.b]}: ${measure.label} ${measure.share ? percent(value) : fixed(value, 2)}` +
      (measure.key === "spearman" && layers.length > 1 ? `, ${fixed(Math.min(...layers), 2)} to ${fixed(Math.max(...layers), 2)} by layer` : "") +
      (isNumber(pair.samples) ? `, from ${pair.samples} samples` : "");
    const say = () => (readout.textContent = text);
    for (const [row, column] of [[pair.a, pair.b], [pair.b, pair.a]]) {
      const x = left + column * cell, y = 24 + row * height, upper = row < column, strength = isNumber(value) ? Math.min(1, Math.abs(value)) : 0;
      node.append(svg("g", { class: upper ? "mark" : null, tabindex: upper ? 0 : null, role: upper ? "img" : null, "aria-label": upper ? text : null, "data-a": upper ? pair.a : null, "data-b": upper ? pair.b : null, "data-value": upper ? value ?? "" : null, onpointerenter: say, onfocus: say },
        svg("rect", { x: x + 1, y: y + 1, width: cell - 2, height: height - 2, rx: 3, style: `fill:${value < 0 ? "var(--worse)" : "var(--heat)"}`, "fill-opacity": (0.06 + 0.5 * strength).toFixed(3) }),
        svg("text", { class: "strong", x: x + cell / 2, y: y + height / 2 + 4, "text-anchor": "middle", style: cell < 30 ? "font-size:9px" : null }, measure.share ? (isNumber(value) ? fixed(100 * value, 0) : nothing) : fixed(value, cell < 34 ? 1 : 2))));
    }
  }
  return node;
};

const samplesPanel = (place, target, style) => {
  const box = html("div", { class: "panel" }, html("h3", {}, "Samples needed"));
  const lines = (place.stability ?? []).filter((one) => one.target === target && one.points.filter((point) => isNumber(point.share)).length > 1);
  if (!lines.length) {
    box.append(html("p", { class: "none" }, "Every metric was computed from one number of samples: nothing to say on how many it needs."));
    return box;
  }
  const threshold = data.metric_lab.threshold ?? 0.95, holder = html("div", {}), hidden = new Set();
  const entries = lines.map((one) => ({ ...one, name: place.metrics[one.metric].label, style: style(one.metric), label: `${place.metrics[one.metric].label}: ${isNumber(one.samples_needed) ? `${digits(one.samples_needed, 2)} samples` : `> ${whole(one.largest)} samples`}` }));
  const again = responsive(holder, (width) => samplesPlot(entries.filter((one) => !hidden.has(one.name)), threshold, width));
  box.append(holder, legend(entries, hidden, again), html("p", { class: "readout" }, `Kept units in common with the choice from most samples; the line is at ${percent(threshold)}.`));
  return box;
};

const samplesPlot = (lines, threshold, width) => {
  const every = lines.flatMap((one) => one.points).filter((point) => isNumber(point.share));
  if (!every.length) return html("p", { class: "none" }, "No metric is shown.");
  const lowest = Math.min(threshold, ...every.map((point) => point.share)), numbers = every.map((point) => point.samples);
  const { node, X, Y, box } = axes(width, 260, { domain: [Math.min(...numbers), Math.max(...numbers, Math.min(...numbers) * 1.01)], log: true, ticks: [...new Set(numbers)].length < 8 ? [...new Set(numbers)] : null, label: "samples", format: whole },
    { domain: padded(lowest, 1, 0.06), label: "share of kept units in common", format: percent }, "Share of kept units in common against samples", { class: "plot" });
  node.append(svg("path", { class: "quiet", d: `M${box.left},${Y(threshold)}H${box.right}` }));
  for (const { points: list, name, style, samples_needed: needed } of lines) {
    const shown = list.filter((point) => isNumber(point.share));
    node.append(svg("path", { class: "line mark", stroke: style.color, "stroke-dasharray": style.dash || null, d: points(shown.map((point) => [X(point.samples), Y(point.share)])), "data-metric": name, "data-points": shown.length, "data-needed": needed ?? "" }));
    for (const point of shown) {
      const text = `${name}, ${whole(point.samples)} samples: ${percent(point.share)}`;
      node.append(svg("path", { d: style.shape, fill: style.color, transform: `translate(${X(point.samples)},${Y(point.share)}) scale(.8)` }, svg("title", {}, text)));
    }
  }
  return node;
};

const mapsPanel = (place) => {
  const maps = (place.maps ?? []).filter((map) => map.normalised.some(isNumber));
  if (!maps.length || maps[0].normalised.length < 2) return html("div", {});
  const holder = html("div", {}), readout = html("p", { class: "readout", role: "status" }, "From the metric's lowest layer (pale) to its highest (dark).");
  const names = maps.map((map) => place.metrics[map.metric].label), letters = Math.max(...names.map((name) => name.length));
  responsive(holder, (width) => {
    const left = Math.min(width * 0.4, 6.6 * letters + 14), room = Math.floor((left - 8) / 6.6);
    return heatMap(maps.map((map) => map.normalised), width, { "data-map": "layers", "aria-label": "Importance of each layer by each metric" }, {
      left, rows: names.map((name) => cut(name, room)), first: place.layers ? "first" : "layer 0",
      last: place.layers ? "last" : `layer ${maps[0].normalised.length - 1}`,
      show: (row, column) => (readout.textContent = `${names[row]}, layer ${column}: mean score ${digits(maps[row].mean[column])}`),
    });
  });
  return html("div", { class: "panel" }, html("h3", {}, place.layers ? "Importance of each layer" : "Mean importance by layer"), holder, readout);
};

const labTables = (place) => {
  const name = (i) => place.metrics[i].label, targets = place.targets ?? [];
  const pairs = table("Pairs of metrics at the same calibration", ["metrics", "samples", "calibrations", "Spearman", "Kendall tau-b", ...targets.map((target) => `kept in common, ${targetText(target)} (chance ${percent(target.chance?.share)})`)],
    (place.pairs ?? []).map((pair) => [`${name(pair.a)} and ${name(pair.b)}`, pair.samples ?? nothing, pair.calibrations, fixed(pair.spearman, 3), fixed(pair.kendall, 3), ...targets.map((_, i) => percent(pair.overlap?.[i]?.share))]), "lab-pairs");
  const rows = (place.stability ?? []).flatMap((one) => one.points.map((point) =>
    [name(one.metric), one.target === null ? nothing : targetText(targets[one.target]), point.samples, point.files, fixed(point.spearman, 3), percent(point.share), percent(point.between_seeds?.share), isNumber(one.samples_needed) ? digits(one.samples_needed, 3) : nothing]));
  return html("div", {}, pairs, rows.length ? table("Agreement with the largest number of samples, and between seeds", ["metric", "kept", "samples", "files", "Spearman", "kept in common", "between seeds", "samples needed"], rows, "lab-samples") : null);
};
