// SPDX-License-Identifier: Apache-2.0
// Interval bars of the verdicts, all on one axis.
const drawVerdicts = () => {
  const verdicts = data.verdicts ?? [];
  const values = verdicts.flatMap((verdict) => [verdict.low, verdict.high, verdict.difference]).filter(isNumber);
  if (!values.length) return;
  // The cut alone is often a hundred times worse than what training leaves: each moment has an axis of its own.
  const domainOf = (moment) => {
    const of = verdicts.filter((verdict) => verdict.moment === moment).flatMap((v) => [v.low, v.high, v.difference]).filter(isNumber);
    return padded(Math.min(0, ...of), Math.max(0, ...of), 0.08);
  };
  const domains = { after: domainOf("after"), before: domainOf("before") };
  for (const card of document.querySelectorAll("[data-verdict]")) {
    const verdict = verdicts[Number(card.dataset.verdict)];
    if (!isNumber(verdict.difference)) continue;
    const domain = domains[verdict.moment] ?? domains.after;
    responsive(card.querySelector(".bar"), (width) => verdictBar(verdict, domain, width));
  }
};

const verdictBar = (verdict, domain, width) => {
  const X = scale(domain, [6, width - 6]), middle = 24, height = 62;
  const low = verdict.low ?? verdict.difference, high = verdict.high ?? verdict.difference;
  const node = svg("svg", {
    viewBox: `0 0 ${width} ${height}`, width, height, role: "img", class: "interval",
    "data-difference": verdict.difference, "data-low": verdict.low, "data-high": verdict.high,
    "aria-label": `Difference ${signed(verdict.difference, 4)} nats per token, interval ${signed(low, 4)} to ${signed(high, 4)}`,
  });
  node.append(svg("path", { class: "axis", d: `M6,44H${width - 6}` }));
  for (const tick of niceTicks(...domain, Math.max(2, Math.floor(width / 75)))) {
    node.append(svg("path", { class: tick === 0 ? "zero" : "grid", d: `M${X(tick)},${tick === 0 ? 4 : 8}V44` }),
      svg("text", { x: X(tick), y: 58, "text-anchor": X(tick) < 22 ? "start" : X(tick) > width - 22 ? "end" : "middle" }, tick === 0 ? "0" : signed(tick, Math.abs(tick) < 0.01 ? 3 : 2)));
  }
  const style = "stroke:var(--tone);fill:var(--tone)";
  node.append(svg("path", { style: style + ";stroke-width:8;opacity:.3", d: `M${X(low)},${middle}H${X(high)}` }),
    svg("path", { style: style + ";stroke-width:2", d: `M${X(low)},${middle - 7}v14M${X(high)},${middle - 7}v14M${X(low)},${middle}H${X(high)}` }),
    svg("path", { style, d: shapes[3], transform: `translate(${X(verdict.difference)},${middle})` }));
  const place = X(verdict.difference);
  node.append(svg("text", { class: "strong", x: place, y: 12, "text-anchor": place < 60 ? "start" : place > width - 60 ? "end" : "middle" }, signed(verdict.difference, 4)));
  return node;
};
