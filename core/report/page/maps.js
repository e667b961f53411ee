// SPDX-License-Identifier: Apache-2.0
// Maps of importance beside maps of what was kept, one arm and axis at a time.
const symbols = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const levelOf = new Map([...symbols].map((symbol, i) => [symbol, i / (symbols.length - 1)]));
const shades = 16;

// Rows of symbols → rows of numbers from 0 to 1, or null.
const decoded = (rows) => (rows ?? []).map((row) => [...row].map((symbol) => levelOf.get(symbol) ?? null));
const withinRows = (rows) => rows.map((row) => {
  const known = row.filter(isNumber), low = Math.min(...known), high = Math.max(...known);
  return row.map((value) => (isNumber(value) ? (high > low ? (value - low) / (high - low) : 1) : null));
});

// One path for each shade: thousands of cells, and a handful of elements.
const heatMap = (rows, width, attributes, labels) => {
  const columns = Math.max(1, ...rows.map((row) => row.length)), left = labels.left ?? 30;
  const height = rows.length === 1 ? 34 : Math.min(22, Math.max(3, Math.floor(300 / rows.length)));
  const cell = (width - left - 2) / columns, bottom = height * rows.length + 1;
  const paths = Array.from({ length: shades + 1 }, () => "");
  rows.forEach((row, y) => row.forEach((value, x) => {
    if (isNumber(value)) paths[Math.round(value * shades)] += `M${(left + x * cell).toFixed(2)},${y * height + 1}h${cell.toFixed(2)}v${height}h${(-cell).toFixed(2)}z`;
  }));
  const node = svg("svg", {
    viewBox: `0 0 ${width} ${bottom + 20}`, width, height: bottom + 20, role: "img", class: "heat", ...attributes,
    "data-rows": rows.length, "data-cells": rows.reduce((sum, row) => sum + row.filter(isNumber).length, 0),
  });
  paths.forEach((d, shade) => {
    if (d) node.append(svg("path", { d, style: "fill:var(--heat)", "fill-opacity": (0.03 + 0.97 * shade / shades).toFixed(3), "shape-rendering": "crispEdges" }));
  });
  node.append(svg("path", { class: "axis", d: `M${left},1H${width - 1}V${bottom}H${left}z` }));
  const every = Math.ceil(14 / height);
  rows.forEach((_, y) => {
    if (rows.length > 1 && y % every === 0) node.append(svg("text", { x: left - 5, y: y * height + height / 2 + 5, "text-anchor": "end" }, labels.rows?.[y] ?? y));
  });
  node.append(svg("text", { x: left, y: bottom + 16 }, labels.first), svg("text", { x: width - 1, y: bottom + 16, "text-anchor": "end" }, labels.last));
  const cursor = svg("path", { class: "cursor" });
  node.append(cursor);
  const find = (x, y) => {
    const column = Math.floor((x - left) / cell), row = Math.floor((y - 1) / height);
    return column < 0 || column >= columns || row < 0 || row >= rows.length ? null : row * columns + column;
  };
  explorable(node, rows.length * columns, find, (step) => {
    const row = Math.floor(step / columns), column = step % columns;
    cursor.setAttribute("d", `M${left + column * cell},${row * height + 1}h${cell}v${height}h${-cell}z`);
    labels.show(row, column);
  })({ ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: 0, End: 0 });
  return node;
};

const drawMaps = (host) => {
  const maps = (data.scores ?? []).map((map) => ({ ...map, arm: (data.runs ?? []).find((run) => run.name === map.run)?.arm ?? map.run }));
  if (!maps.length) return;
  let map = maps[0], within = "all";
  const holder = html("div", {}), picks = html("div", { class: "controls" });
  const show = () => holder.replaceChildren(mapPanels(map, within), tableDetails("Maps as a table", () => mapTable(map)));
  const choose = (arm, axis) => {
    const ofArm = maps.filter((one) => one.arm === arm);
    map = ofArm.find((one) => one.axis === axis) ?? ofArm[0];
    picks.replaceChildren(
      select("Arm", [...new Set(maps.map((one) => one.arm))].map((name) => [name, name]), map.arm, (value) => choose(value, map.axis)),
      select("Axis", ofArm.map((one) => [one.axis, `${one.axis} by ${one.metric}`]), map.axis, (value) => choose(map.arm, value)),
      radios("Shade", "shade", [["all", "over all layers"], ["layer", "within each layer"]], within, (value) => { within = value; show(); }));
    show();
  };
  host.replaceChildren(picks, holder);
  choose(map.arm, map.axis);
};

const mapPanels = (map, within) => {
  const readout = html("p", { class: "readout", role: "status" }, "Point at a map, or focus it and use the arrow keys.");
  const scores = decoded(map.layers), kept = decoded(map.kept), bin = map.bin ?? 1;
  const show = (row, column) => {
    const first = Math.round(column * bin), last = Math.round((column + 1) * bin) - 1, share = kept[row]?.[column];
    const units = last > first ? `units ${first} to ${last}` : `unit ${first}`, score = scores[row]?.[column];
    readout.textContent = `${scores.length > 1 ? `Layer ${row}, ` : ""}${units}: score about ${isNumber(score) ? digits(map.low + score * (map.high - map.low)) : nothing}, ` +
      (last > first ? `${percent(share)} kept` : share > 0.5 ? "kept" : "not kept");
  };
  const columns = Math.max(1, ...scores.map((row) => row.length));
  const labels = { first: "unit 0", last: `unit ${Math.round(columns * bin) - 1}`, show, left: scores.length > 1 ? 30 : 1 };
  const panel = (title, rows, kind, low, high) => {
    const place = html("div", {});
    const box = html("div", { class: "panel" }, html("h3", {}, title), place, html("p", { class: "ramp" }, low, html("i", {}), high));
    responsive(place, (width) => heatMap(rows, width, { "data-map": kind, "data-arm": map.arm, "data-axis": map.axis, "aria-label": `${title}: ${map.arm}, ${map.axis}, ${rows.length} rows` }, labels));
    return box;
  };
  const ranged = within === "layer";
  return html("div", {}, html("div", { class: "pair" },
    panel(`Importance by ${map.metric}`, ranged ? withinRows(scores) : scores, "importance", ranged ? "lowest of the layer" : digits(map.low), ranged ? "highest" : digits(map.high)),
    panel("Kept", kept, "kept", "none", "all")), readout);
};

const mapTable = (map) => {
  const mean = (row) => { const known = row.filter(isNumber); return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null; };
  const scores = decoded(map.layers), kept = decoded(map.kept);
  const value = (level) => (isNumber(level) ? digits(map.low + level * (map.high - map.low)) : nothing);
  return table(`${map.arm}, ${map.axis} by ${map.metric}: layer by layer, as drawn (64 shades)`, ["layer", "lowest score", "mean score", "highest score", "share kept"],
    scores.map((row, layer) => [scores.length > 1 ? layer : "all", value(Math.min(...row.filter(isNumber))), value(mean(row)), value(Math.max(...row.filter(isNumber))), percent(mean(kept[layer] ?? []))]), "maps");
};
