// SPDX-License-Identifier: Apache-2.0
// Loss against what an arm costs, with the line of arms that nothing cheaper beats.
const costs = [
  { key: "non_embedding_parameters", label: "non-embedding parameters", format: count, of: (one) => one.non_embedding_parameters },
  { key: "parameters", label: "parameters", format: count, of: (one) => one.parameters },
  { key: "bytes", label: "size in memory", format: bytes, of: (one) => one.bytes },
  { key: "kv", label: "KV cache per token", format: bytes, of: (one) => one.kv_bytes_per_token },
  { key: "flops", label: "FLOPs per token", format: count, of: (one) => one.flops_per_token },
  { key: "decode", label: "decoding, tokens per second", format: count, more: true, of: (one) => one.speed?.decode_tokens_per_s },
  { key: "prefill", label: "prefill, tokens per second", format: count, more: true, of: (one) => one.speed?.prefill_tokens_per_s },
  { key: "seconds", label: "time of the run", format: seconds, of: (one) => one.seconds },
];
const losses = [
  { key: "bits_per_byte", label: "bits per byte" },
  { key: "nll", label: "nats per token" },
];

const qualityPoints = (cost, loss) => {
  const students = arms.map((arm) => ({ name: arm.name, x: cost.of(arm), style: armLook(arm.name), ...spread(arm.after?.[loss.key]) }));
  const teachers = (data.teachers ?? []).map((teacher) => ({ name: teacher.name, teacher: true, x: cost.of(teacher), y: teacher[loss.key] }));
  return [students.filter((point) => isNumber(point.x) && isNumber(point.y)), teachers.filter((point) => isNumber(point.y))];
};
const spread = (measured) => ({ y: measured?.mean, low: measured?.low, high: measured?.high });

const drawQuality = (host) => {
  const usable = losses.filter((loss) => arms.some((arm) => isNumber(arm.after?.[loss.key]?.mean)));
  const offered = costs.filter((cost) => usable.some((loss) => qualityPoints(cost, loss)[0].length));
  if (!usable.length || !offered.length) return;
  let [cost, loss] = [offered[0], usable[0]], teachersToo = true;
  const hidden = new Set();
  const readout = html("p", { class: "readout", role: "status" }, "Point at an arm, or move to it with the tab key.");
  const panel = html("div", {});
  const again = responsive(panel, (width) => qualityPlot(cost, loss, teachersToo, hidden, width, readout));
  const controls = html("div", { class: "controls" },
    radios("Cost", "cost", offered.map(({ key, label }) => [key, label]), cost.key, (key) => { cost = offered.find((one) => one.key === key); again(); }),
    usable.length > 1 ? radios("Loss", "loss", usable.map(({ key, label }) => [key, label]), loss.key, (key) => { loss = usable.find((one) => one.key === key); again(); }) : null);
  if ((data.teachers ?? []).length) {
    controls.append(html("label", {}, html("input", { type: "checkbox", checked: true, onchange: (event) => { teachersToo = event.target.checked; again(); } }), "teachers too"));
  }
  host.replaceChildren(controls, html("div", { class: "panel" }, panel,
    legend(arms.map((arm) => ({ name: arm.name, style: armLook(arm.name), shape: true })), hidden, again), readout),
    tableDetails("Quality and cost as a table", () => qualityTable(offered, usable)));
};

// Arms that no arm of at most the cost beats, from the cheapest on.
const pareto = (list, more) => {
  const sorted = [...list].sort((a, b) => (more ? b.x - a.x : a.x - b.x) || a.y - b.y);
  let best = Infinity;
  return sorted.filter((point) => point.y < best && ((best = point.y), true));
};

const qualityPlot = (cost, loss, teachersToo, hidden, width, readout) => {
  const [everyStudent, everyTeacher] = qualityPoints(cost, loss);
  const students = everyStudent.filter((point) => !hidden.has(point.name)), teachers = teachersToo ? everyTeacher : [];
  const xs = [...students, ...teachers].map((point) => point.x).filter(isNumber);
  const ys = [...students, ...teachers].flatMap((point) => [point.y, point.low, point.high]).filter(isNumber);
  if (!students.length) return html("p", { class: "none" }, "No arm is shown.");
  const { node, X, Y, box } = axes(width, width > 620 ? 400 : 300,
    { domain: padded(Math.min(...xs), Math.max(...xs), 0.08), label: cost.label + (cost.more ? " (more is better)" : " (less is better)"), format: cost.format },
    { domain: padded(Math.min(...ys), Math.max(...ys), 0.1), label: `loss after distillation, ${loss.label}`, format: (value) => digits(value) },
    `Loss against ${cost.label} of ${students.length} arms`, { class: "plot", "data-cost": cost.key, "data-loss": loss.key });
  node.removeAttribute("role");
  node.setAttribute("role", "group");
  const taken = [];
  teacherMarks(node, teachers, X, Y, box, taken);
  const front = pareto(students, cost.more);
  const steps = front.flatMap((point, i) => (i ? [[X(point.x), Y(front[i - 1].y)], [X(point.x), Y(point.y)]] : [[X(point.x), Y(point.y)]]));
  if (front.length) node.append(svg("path", { class: "quiet pareto", d: points([...steps, [cost.more ? box.left : box.right, Y(front[front.length - 1].y)]]), "data-front": front.map((point) => point.name).join("|") }));
  for (const point of students) taken.push({ x: X(point.x) - 7, y: Y(point.y) - 7, w: 14, h: 14 });
  for (const point of students) studentMark(node, point, cost, loss, X, Y, box, taken, readout);
  return node;
};

const teacherName = ({ name }) => (name.startsWith("teacher") ? name : `teacher ${name}`);

// Teachers are lines across; those too near to each other for a name each share one.
const teacherMarks = (node, teachers, X, Y, box, taken) => {
  const groups = [];
  for (const teacher of [...teachers].sort((a, b) => b.y - a.y)) {
    const y = Y(teacher.y), last = groups[groups.length - 1];
    node.append(svg("path", { class: "zero teacher", "stroke-dasharray": "1 3", d: `M${box.left},${y}H${box.right}`, "data-name": teacher.name, "data-y": teacher.y }));
    if (isNumber(teacher.x)) node.append(svg("path", { d: shapes[6], transform: `translate(${X(teacher.x)},${y})`, style: "fill:var(--ink)" }));
    if (last && y - last.bottom < 14) [last.bottom, last.names] = [y, [...last.names, teacher.name]];
    else groups.push({ top: y, bottom: y, names: [teacher.name], one: teacherName(teacher) });
  }
  for (const { top, names, one } of groups) {
    const text = names.length > 1 ? `teachers ${names.join(", ")}` : one;
    node.append(svg("text", { x: box.left + 4, y: top - 5 }, text));
    taken.push({ x: box.left, y: top - 16, w: 7 * text.length, h: 14 });
  }
};

const studentMark = (node, point, cost, loss, X, Y, box, taken, readout) => {
  const x = X(point.x), y = Y(point.y), bar = isNumber(point.low) && isNumber(point.high);
  const text = `${point.name}: ${fixed(point.y, 4)} ${loss.label}` + (bar ? ` (${fixed(point.low, 4)} to ${fixed(point.high, 4)})` : "") + `, ${cost.label} ${cost.format(point.x)}`;
  const say = () => (readout.textContent = text);
  node.append(svg("g", { class: "mark", tabindex: 0, role: "img", "aria-label": text, "data-arm": point.name, "data-x": point.x, "data-y": point.y, onfocus: say, onpointerenter: say },
    svg("title", {}, text),
    bar ? svg("path", { class: "line", stroke: point.style.color, "stroke-width": 1.5, d: `M${x},${Y(point.low)}V${Y(point.high)}M${x - 4},${Y(point.low)}h8M${x - 4},${Y(point.high)}h8` }) : null,
    svg("path", { d: point.style.shape, fill: point.style.color, stroke: "var(--sheet)", transform: `translate(${x},${y}) scale(1.25)` }),
    svg("rect", { x: x - 12, y: y - 12, width: 24, height: 24, fill: "transparent" })));
  const w = 6.6 * point.name.length + 4;
  const places = [[x + 11, y - 7], [x - 11 - w, y - 7], [x - w / 2, y - 24], [x - w / 2, y + 11], [x + 8, y - 20], [x + 8, y + 7]];
  const spot = places.find(([left, top]) => left > box.left - 20 && left + w < box.right + 12 && top > 14 && top < box.bottom - 14 &&
    !taken.some((other) => left < other.x + other.w && other.x < left + w && top < other.y + other.h && other.y < top + 14));
  if (!spot) return;
  taken.push({ x: spot[0], y: spot[1], w, h: 14 });
  node.append(svg("text", { class: "strong", x: spot[0], y: spot[1] + 11 }, point.name));
};

const qualityTable = (offered, usable) => table("Loss after distillation, and costs", ["arm", ...usable.flatMap((loss) => [loss.label, "interval"]), ...offered.map((cost) => cost.label)],
  [...arms.map((arm) => [arm.name, ...usable.flatMap((loss) => lossCells(arm.after?.[loss.key])), ...offered.map((cost) => shownCost(cost, arm))]),
    ...(data.teachers ?? []).map((one) => [teacherName(one), ...usable.flatMap((loss) => [fixed(one[loss.key], 4), nothing]), ...offered.map((cost) => shownCost(cost, one))])], "quality");
const shownCost = (cost, one) => (isNumber(cost.of(one)) ? cost.format(cost.of(one)) : nothing);
const lossCells = (measured) => [fixed(measured?.mean, 4), isNumber(measured?.low) ? `${fixed(measured.low, 4)} to ${fixed(measured.high, 4)}` : nothing];
