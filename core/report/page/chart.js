// SPDX-License-Identifier: Apache-2.0
// Axes, lines and legends as inline SVG.

const niceTicks = (low, high, wanted) => {
  const raw = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  const off = (size) => Math.abs(Math.log(size / raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).reduce((best, size) => (off(size) < off(best) ? size : best));
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
};
const logTicks = (low, high, wanted) => {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; ++power)
    for (const factor of [1, 2, 5]) ticks.push(factor * 10 ** power);
  const inside = ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  if (inside.length < 2) return niceTicks(low, high, wanted);
  const step = Math.ceil(inside.length / Math.max(2, wanted));
  return inside.filter((_, i) => i % step === 0);
};
const padded = (low, high, part = 0.06) => {
  const room = (high - low || Math.abs(high) || 1) * part;
  return [low - room, high + room];
};
const scale = ([low, high], [from, to], log) => {
  const place = log ? (value) => Math.log(value / low) / Math.log(high / low) : (value) => (value - low) / (high - low);
  return (value) => from + place(value) * (to - from);
};

// A drawing with axes. x, y: {domain, log, label, format}. Returns {node, X, Y, box}.
const axes = (width, height, x, y, title, attributes = {}) => {
  const box = { left: 52, right: width - (attributes.room ?? 14), top: 24, bottom: height - 40 };
  delete attributes.room;
  const X = scale(x.domain, [box.left, box.right], x.log), Y = scale(y.domain, [box.bottom, box.top], y.log);
  const node = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": title, ...attributes });
  for (const tick of (y.log ? logTicks : niceTicks)(...y.domain, 5)) {
    node.append(svg("path", { class: "grid", d: `M${box.left},${Y(tick)}H${box.right}` }),
      svg("text", { x: box.left - 7, y: Y(tick) + 4, "text-anchor": "end" }, y.format(tick)));
  }
  const wanted = Math.max(3, Math.floor((box.right - box.left) / 85));
  for (const tick of x.ticks ?? (x.log ? logTicks : niceTicks)(...x.domain, wanted)) {
    node.append(svg("path", { class: "axis", d: `M${X(tick)},${box.bottom}v5` }),
      svg("text", { x: X(tick), y: box.bottom + 18, "text-anchor": "middle" }, x.format(tick)));
  }
  node.append(svg("path", { class: "axis", d: `M${box.left},${box.bottom}H${box.right}` }),
    svg("text", { x: box.right, y: height - 5, "text-anchor": "end" }, x.label),
    svg("text", { x: 0, y: 12 }, y.label));
  return { node, X, Y, box };
};

const points = (list) => list.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`).join("");

// Buttons that hide and show; `hidden` is a set of names that the caller reads when it draws.
const legend = (entries, hidden, change) =>
  html("ul", { class: "legend", "aria-label": "Legend: press to hide or show" }, entries.map(({ name, label, style, shape }) =>
    html("li", {}, html("button", {
      type: "button", "aria-pressed": "true", onclick: (event) => {
        if (!hidden.delete(name)) hidden.add(name);
        event.currentTarget.setAttribute("aria-pressed", String(!hidden.has(name)));
        change();
      },
    }, svg("svg", { width: shape ? 14 : 34, height: 14, viewBox: shape ? "-7 -7 14 14" : "-17 -7 34 14", "aria-hidden": "true" },
      shape ? svg("path", { d: style.shape, fill: style.color })
        : svg("path", { d: "M-17,0H17", class: "line", stroke: style.color, "stroke-dasharray": style.dash || null })), label ?? name))));

// Names beside the ends of lines, pushed apart.
const endLabels = (node, ends, x, top, bottom) => {
  const sorted = [...ends].sort((a, b) => a.y - b.y);
  sorted.forEach((end, i) => (end.at = Math.max(end.y, i ? sorted[i - 1].at + 13 : top)));
  for (let i = sorted.length - 1, limit = bottom; i >= 0; --i, limit = sorted[i + 1].at - 13) sorted[i].at = Math.min(sorted[i].at, limit);
  for (const end of sorted) node.append(svg("text", { x, y: end.at + 4, style: `fill:${end.color}` }, cut(end.name, 24)));
};

// Pointer and arrow keys move a cursor over `steps` places; `show(step)` says what is there. `find` maps x, y to a step.
const explorable = (node, steps, find, show) => {
  let at = -1;
  const go = (step) => show((at = Math.min(steps - 1, Math.max(0, step))));
  node.setAttribute("tabindex", "0");
  const point = (event) => {
    const place = node.getBoundingClientRect(), view = node.viewBox.baseVal;
    const step = find((event.clientX - place.left) * (view.width / place.width), (event.clientY - place.top) * (view.height / place.height));
    if (step !== null) go(step);
  };
  node.addEventListener("pointermove", point);
  node.addEventListener("pointerdown", point);
  return (moves) => node.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (move === undefined) return;
    event.preventDefault();
    go(event.key === "Home" ? 0 : event.key === "End" ? steps - 1 : at < 0 ? 0 : at + move);
  });
};
